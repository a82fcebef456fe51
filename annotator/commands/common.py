"""What commands share of their work: exit statuses, and the configuration with its models."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.config import Config
    from annotator.models import ModelSet

EXIT_OK, EXIT_ATTENTION, EXIT_USAGE = 0, 1, 2


def configured(options: argparse.Namespace, needs_token: bool = True) -> tuple["Config", "ModelSet"]:
    """Load the configuration that the options name, and its models.

    Raises
    ------
    ConfigError
        If it is wrong, or the token that is needed is not in the environment.
    ModelError
        If a model is damaged, changed, or does not reproduce its references.
    """
    from annotator.config import load_config
    from annotator.models import load_to_stay

    config = load_config(options.config, os.environ)
    if needs_token:
        config.require_token()
    return config, load_to_stay(config.models, config.survey)
