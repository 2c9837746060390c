"""Pieces of HTML of the naming page; what comes from outside is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .naming import Naming, Row

FAULTS_SHOWN = 5
CSS = """
footer { display: none !important }
#bar { position: sticky; top: 0; z-index: 20; padding: 6px 0; align-items: center;
  background: var(--body-background-fill) }
#images { position: sticky; top: 64px; align-self: flex-start }
#left img, #right img { cursor: crosshair }
.head { flex: 1 1 45% !important; min-width: 190px !important }
.cluster { border-left: 6px solid transparent; padding: 4px 8px }
.cluster.chosen { border-left-color: currentColor }
.share { white-space: nowrap }
.swatch { display: inline-block; width: 1.2em; height: 1.2em; border-radius: 3px;
  margin-right: 6px; vertical-align: -0.2em }
.crops { display: flex; gap: 2px; padding: 0 8px 6px 8px }
.crops img { flex: 1 1 0; min-width: 0; max-width: 72px; aspect-ratio: 1; border-radius: 3px }
.bad { color: #b00020; font-weight: 600 }
"""


def introduction(naming: Naming, names_file: Path) -> str:
    """What is shown, what could not be read, and where names go."""
    seen, total = len(naming.images), naming.total
    sampled = seen + len(naming.faults) < total
    images = f"{seen} of {total} images, taken evenly" if sampled else f"{seen} images"
    lines = [
        f"<h2>Name the {len(naming.keys)} clusters of {escape(str(naming.folder))}</h2>",
        f"<p>Shown are {images}; shares are of their pixels. Click on an image to find the "
        "cluster of a pixel, write what it is, and press Enter. Clusters of one name become one "
        f"class. Names are saved to <code>{escape(str(names_file))}</code>.</p>",
    ]
    if naming.faults:
        faults = [escape(fault) for fault in list(naming.faults.values())[:FAULTS_SHOWN]]
        more = len(naming.faults) - len(faults)
        faults += [f"and {more} more"] if more else []
        listed = "".join(f"<li>{fault}</li>" for fault in faults)
        lines.append(f"<p class='bad'>{len(naming.faults)} could not be read:</p><ul>{listed}</ul>")
    return "\n".join(lines)


def said(text: str) -> str:
    """A sentence on what happened."""
    return f"<span>{escape(text)}</span>"


def bad(text: str) -> str:
    """A sentence on what went wrong."""
    return f"<span class='bad' role='alert'>{escape(text)}</span>"


def head(row: Row, chosen: bool) -> str:
    """Colour, number and share of a cluster."""
    joined = f"; one class with {', '.join(row.joined)}" if row.joined else ""
    return (
        f"<div class='cluster{' chosen' if chosen else ''}' data-key='{row.key}'>"
        f"{_numbered(row)} <span class='share'>{100 * row.share:.1f} %</span>{joined}</div>"
    )


def crops(pictures: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Small pictures in a row."""
    if not pictures:
        return "<div class='crops'><i>in none of these images</i></div>"
    tags = [f"<img alt='' src='data:image/jpeg;base64,{_jpeg(picture)}'>" for picture in pictures]
    return f"<div class='crops'>{''.join(tags)}</div>"


def found(row: Row | None) -> str:
    """Which cluster is chosen."""
    if row is None:
        return "<i class='cluster'>No cluster is chosen: click on an image or on a row.</i>"
    return f"<div class='cluster'>Chosen: {_numbered(row)}, {escape(row.name)}</div>"


def _numbered(row: Row) -> str:
    swatch = f"<span class='swatch' style='background:{row.colour}'></span>"
    return f"{swatch}<b>Cluster {row.key}</b>"


def _jpeg(picture: npt.NDArray[np.uint8]) -> str:
    _, coded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return base64.b64encode(coded.tobytes()).decode()
