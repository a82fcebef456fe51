"""The ranked night with buttons to judge it by, on a small server of one's own.

Importing anything of it says in plain words what is not installed.
"""

from annotator.errors import ConfigError

try:
    import flask  # noqa: F401
    import flask_wtf  # noqa: F401
    import waitress  # noqa: F401
except ImportError as missing:
    raise ConfigError(
        f"the inspection page needs {missing.name}, which is not installed: pip install 'lasair-aha[report]'"
    ) from missing
