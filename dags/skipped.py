"""How a task is skipped, so that a person who opens its page sees why."""

import logging

from airflow.sdk.exceptions import AirflowSkipException

logger = logging.getLogger(__name__)


def skipped(reason: str) -> AirflowSkipException:
    """What to raise; the reason is logged too, because Airflow itself keeps it where its page does not show it."""
    logger.info(reason)
    return AirflowSkipException(reason)
