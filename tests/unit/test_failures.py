from mlflow.exceptions import MlflowException

from bertops.cli.failures import explain


def test_a_server_that_does_not_answer_is_no_bug_of_ours():
    told, code = explain(MlflowException("API request failed: connection refused\n  at ..."))
    assert told.startswith("MLflow did not answer, or not as it should: API request failed")
    assert "bertops doctor" in told
    assert "bug" not in told
    assert code == 1


def test_what_mlflow_refuses_is_told_as_it_is():
    refused = MlflowException.invalid_parameter_value("no such column")
    told, _ = explain(refused)
    assert "no such column" in told
    assert "did not answer" not in told
