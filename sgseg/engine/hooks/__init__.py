"""What mmengine's Runner calls while it trains and evaluates."""
