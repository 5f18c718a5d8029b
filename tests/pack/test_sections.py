"""Parts of shaders that hang on features: both runtimes keep the same."""

from __future__ import annotations

from pyruntime.pack.sections import features_of, resolve

CODE = """//# if subgroups
enable subgroups;
//# else
//# end
fn one() -> i32 {
//# if packed_4x8_integer_dot_product
    return fast();
//# else
    return slow();
//# end
}
"""


def test_parts_by_feature() -> None:
    assert features_of(CODE) == {"subgroups", "packed_4x8_integer_dot_product"}
    assert resolve(CODE, {"subgroups"}) == "enable subgroups;\nfn one() -> i32 {\n    return slow();\n}\n"
    assert resolve(CODE, {"packed_4x8_integer_dot_product"}) == "fn one() -> i32 {\n    return fast();\n}\n"


def test_what_has_no_parts_stays() -> None:
    assert features_of("fn main() {}\n") == set()
    assert resolve("fn main() {}\n", {"subgroups"}) == "fn main() {}\n"
