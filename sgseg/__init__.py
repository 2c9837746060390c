"""sgseg: unsupervised semantic segmentation with superpixels and graph neural networks."""

__version__ = "0.1.0"
