"""Runs focus-validator on files, in its own environment (`.venv-focus`): prints what passed and failed as JSON.

Its command line ends with 0 whatever it finds, and writes for people. Without criteria that apply, three of four
rules would be skipped. These here are all but availability zones, regions, capacity reservations and commitment
discounts, which sandboxes do not have. It looks for its list of currencies in the working directory, so this changes to
one that has it.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import focus_validator
from focus_validator.validator import Validator

CRITERIA = """
ACCOUNT_NAMING_SUPPORTED BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED
MULTIPLE_PRICING_CATEGORIES_SUPPORTED MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED NEGOTIATED_PRICING_SUPPORTED
PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED PUBLIC_PRICE_LIST_SUPPORTED RESOURCE_TYPE_ASSIGNMENT_SUPPORTED
SUB_ACCOUNT_SUPPORTED TAGGING_SUPPORTED UNIT_PRICING_SUPPORTED USAGE_MEASUREMENT_SUPPORTED VIRTUAL_CURRENCY_SUPPORTED
"""


def validate(file: str) -> dict[str, list[str]]:
    """The ids of the rules that passed, failed and were skipped."""
    validator = Validator(
        data_filename=file,
        output_destination=None,
        output_type="console",
        focus_dataset="CostAndUsage",
        rules_version="1.2",
        rules_block_remote_download=True,
        applicability_criteria=",".join(CRITERIA.split()),
    )
    found: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    with contextlib.redirect_stdout(sys.stderr):
        results = validator.validate()
    for rule, result in results.by_rule_id.items():
        skipped = result.get("details", {}).get("skipped", False)
        found["skipped" if skipped else "passed" if result["ok"] else "failed"].append(rule)
    return found


if __name__ == "__main__":
    logging.disable()
    files = [str(Path(argument).resolve()) for argument in sys.argv[1:]]
    rules = Path(focus_validator.__file__).parent / "rules"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "focus_validator" / "rules").mkdir(parents=True)
        shutil.copy(rules / "currency_codes.csv", Path(folder) / "focus_validator" / "rules")
        os.chdir(folder)
        results = {file: validate(file) for file in files}
        os.chdir("/")
    json.dump(results, sys.stdout)
