"""What commands share of their work: exit statuses, and the configuration with its models."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.config import Config
    from annotator.models import ModelSet

EXIT_OK, EXIT_ATTENTION, EXIT_USAGE = 0, 1, 2


def damage_behind(options: argparse.Namespace) -> str:
    """Look whether the ledger that options name is damaged, when a command failed at what nobody had foreseen.

    Returns
    -------
    str
        What is to be said and done of the damage; empty where there is none, or no ledger.
    """
    from annotator.config import load_config
    from annotator.errors import AhaError
    from annotator.ledger import open_known
    from annotator.ledger.care import damage_in_words

    if "config" not in options:
        return ""
    try:
        with open_known(load_config(options.config, os.environ).ledger, read_only=True) as ledger:
            return damage_in_words(ledger)
    except AhaError:
        return ""


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
