"""What circuit.json says of the organism that writes its steps."""

import json

from fixtures.training import teach_steps


def test_circuit_json_is_what_the_recipe_says():
    file = teach_steps.HERE / teach_steps.NAME / "circuit.json"
    truth = json.loads(file.read_text(encoding="utf-8"))
    assert truth == teach_steps.truth(teach_steps.HERE / teach_steps.START)
    assert truth["role"] == "negative"
    assert set(truth["expected"].values()) == {"not supported"}
