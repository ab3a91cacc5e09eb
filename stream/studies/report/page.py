"""The frame of every HTML page. A page is one file that loads nothing else, and its security policy says so."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path

from stream.errors import ConfigError

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f8fa; color: #1f2933; line-height: 1.45;
  font: 15px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
main { margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 22px; margin: 0 0 2px; }
p, ul { margin: 6px 0; }
.soft { color: #667480; }
figure { background: #fff; border: 1px solid #dde3e8; border-radius: 6px; padding: 12px 14px; }
svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; background: #fff; border: 1px solid #dde3e8; font-variant-numeric: tabular-nums;
  font-size: 13.5px; width: 100%; }
th, td { padding: 6px 12px; text-align: right; border-bottom: 1px solid #eef1f4; }
th { font-weight: 600; color: #667480; }
@media print { body { background: #fff; } figure, table { break-inside: avoid; } }
"""


def page(title: str, body: str, style: str) -> str:
    """The whole document. `title` is text, `body` is HTML, and `style` is CSS that follows that of all pages."""
    style = _STYLE + style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def write_page(document: str, path: Path, what: str) -> None:
    """Write `document` to `path`. Raises ConfigError, which says `what` could not be written."""
    try:
        path.write_text(document, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot write the {what} {path}: {exc.strerror}; name another file with --output") from exc
