"""What the wheel holds beside the code: data of the top folders, as packages below `harness`.

`harness.files.data_folder` finds them there. Everything else is in pyproject.toml.
"""

from setuptools import find_packages, setup

DATA = {
    "harness.hypotheses": "hypotheses",
    "harness.prompts": "prompts",
    "harness.docs": "docs",  # the glossary, which the report reads
    "harness.fixtures.organisms": "fixtures/organisms",
    "harness.fixtures.training": "fixtures/training",  # which write some reference models
    "harness.fixtures.published": "fixtures/published",
    "harness.reports.templates": "reports/templates",
}

setup(packages=[*find_packages(include=["harness", "harness.*"]), *DATA], package_dir=DATA)
