"""The recurrent network: gradients against finite differences, ONNX's GRU, a state that goes on."""

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper

from demo_site.packing import make_model
from demo_site.recurrent import Adam, Array, Parameters, forward, gradients, initial, softmax, to_nodes

FEATURES, UNITS, CLASSES, STEPS, BATCH = 5, 4, 3, 6, 2


def made(seed: int = 1) -> Parameters:
    """Random weights, biases too."""
    rng = np.random.default_rng(seed)
    start = initial(rng, FEATURES, UNITS, CLASSES)
    return Parameters(*(p + rng.normal(0, 0.2, p.shape).astype(np.float32) for p in start))


def fed(seed: int = 2) -> tuple[Array, Array]:
    """Inputs and a state."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(STEPS, BATCH, FEATURES)).astype(np.float32)
    return inputs, rng.normal(size=(BATCH, UNITS)).astype(np.float32)


def test_gradients() -> None:
    """Of every weight, in float64, where steps count differently."""
    rng = np.random.default_rng(3)
    parameters = Parameters(*(p.astype(np.float64) for p in made()))  # type: ignore[arg-type]
    inputs, state = (each.astype(np.float64) for each in fed())
    targets = rng.integers(0, CLASSES, (STEPS, BATCH))
    _, slopes, _ = gradients(parameters, inputs, state, targets)  # type: ignore[arg-type]
    step = 1e-6
    for name, values, slope in zip(Parameters._fields, parameters, slopes, strict=True):
        assert slope.shape == values.shape
        for spot in np.ndindex(values.shape):
            kept = values[spot]
            values[spot] = kept + step
            above, *_ = gradients(parameters, inputs, state, targets)  # type: ignore[arg-type]
            values[spot] = kept - step
            below, *_ = gradients(parameters, inputs, state, targets)  # type: ignore[arg-type]
            values[spot] = kept
            assert slope[spot] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-8), name


def test_a_state_goes_on() -> None:
    parameters, (inputs, state) = made(), fed()
    whole = forward(parameters, inputs, state)
    first = forward(parameters, inputs[:2], state)
    second = forward(parameters, inputs[2:], first.states[-1])
    np.testing.assert_allclose(np.concatenate([first.logits, second.logits]), whole.logits, atol=1e-6)
    assert np.abs(forward(parameters, inputs[2:], state).logits - second.logits).max() > 1e-3


def test_onnx_reference() -> None:
    parameters, (inputs, state) = made(), fed()
    nodes, initializers = to_nodes(parameters, "inputs", ("state", "next"), "logits")

    def tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "recurrent",
        [tensor("inputs", *inputs.shape), tensor("state", 1, *state.shape)],
        [tensor("logits", STEPS, BATCH, CLASSES), tensor("next", 1, *state.shape)],
        initializers,
    )
    evaluator = onnx.reference.ReferenceEvaluator(make_model(graph))
    logits, after = map(np.asarray, evaluator.run(None, {"inputs": inputs, "state": state[None]}))
    expected = forward(parameters, inputs, state)
    np.testing.assert_allclose(logits, expected.logits, atol=1e-5)
    np.testing.assert_allclose(after[0], expected.states[-1], atol=1e-5)


def test_learning() -> None:
    """To repeat what came two steps before, which needs the state."""
    rng = np.random.default_rng(4)
    parameters = initial(rng, 2, 16, 2)
    optimizer = Adam(parameters)
    for _ in range(150):
        bits = rng.integers(0, 2, (12, 32))
        wanted = np.concatenate([np.zeros((2, 32), np.int64), bits[:-2]])
        state = np.zeros((32, 16), np.float32)
        inputs = np.eye(2, dtype=np.float32)[bits]
        _, slopes, _ = gradients(parameters, inputs, state, wanted)
        optimizer.step(slopes, 2e-2)
    found = softmax(forward(parameters, inputs, state).logits).argmax(axis=2)
    assert np.mean(found == wanted) > 0.95
