"""Every promise of the contract, one test each; `lpcm-eval plugins check {{name}}` runs the same."""

from lpcm.testing import check_{{kind}}


@check_{{kind}}("{{name}}")
def test_{{module}}(check):
    check()
