"""Every check on this tree: a finding is a failed test that lists all of them."""

from pathlib import Path

import check_code
import check_includes
import check_lists
import check_words
import pytest
from tree import CHECKS, Tree

assert all((check_code, check_includes, check_lists, check_words))
TREE = Tree(Path(__file__).resolve().parents[2])


@pytest.mark.parametrize("name", CHECKS)
def test_tree(name: str) -> None:
    findings = list(CHECKS[name](TREE))
    assert not findings, "\n" + "\n".join(findings)
