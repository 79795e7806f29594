"""Every fuzz target over its seeds and the inputs that fuzzing found interesting: a regression test."""

import pytest
from fuzz.target import CORPUS, FuzzTarget, load_target, read_corpus, target_names

MAX_CORPUS_BYTES = 200_000


@pytest.mark.parametrize("name", target_names())
def test_no_seed_and_no_kept_input_is_a_finding(name: str) -> None:
    target = load_target(name)
    inputs = [*target.seeds(), *read_corpus(name)]
    assert inputs
    for data in inputs:
        target.check(data)


@pytest.mark.parametrize("name", target_names())
def test_every_prefix_of_a_seed_is_no_finding(name: str) -> None:
    target = load_target(name)
    for seed in target.seeds():
        for size in range(0, len(seed), max(1, len(seed) // 50)):
            target.check(seed[:size])


def test_the_corpus_stays_small_and_belongs_to_targets() -> None:
    files = list(CORPUS.glob("*"))
    assert sum(path.stat().st_size for path in files) <= MAX_CORPUS_BYTES
    assert {path.stem for path in files} <= set(target_names())


def test_a_target_lets_its_own_errors_pass_and_no_other() -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError if data == b"wrong" else KeyError

    target = FuzzTarget("example", fail, (KeyError,), list)
    target.check(b"allowed")
    with pytest.raises(ZeroDivisionError):
        target.check(b"wrong")
