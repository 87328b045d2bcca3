"""Environment variables: where and how, never what. What changes a result stands in params.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """An environment variable that bertops reads, or sets for the libraries below it."""

    name: str
    default: str
    """Without it; empty when nothing is assumed."""
    meaning: str


PROJECT = "BERTOPS_PROJECT"

VARIABLES = (
    Variable(
        PROJECT,
        "the current folder",
        "Folder that holds params.yaml; of a worker, its checkout.",
    ),
    Variable("BERTOPS_DEVICE", "the GPU if there is one", "`cpu` keeps off the GPU."),
    Variable("BERTOPS_PROGRESS", "1", "`0` switches progress bars off."),
    Variable("BERTOPS_TRACEBACK", "0", "`1` shows Python's traceback before an error."),
    Variable("BERTOPS_NOTIFY", "nobody", "Apprise addresses, separated by blanks, for outcomes."),
    Variable(
        "BERTOPS_PRICE_PER_HOUR", "0", "What an hour of this machine costs, for Prefect's UI."
    ),
    Variable("BERTOPS_NODE", "", "Number of this machine, from 0, where several train together."),
    Variable("BERTOPS_SIGNING_KEY", "unsigned", "Private key that signs registered versions."),
    Variable("BERTOPS_ENDING_FILE", "", "Set by bertops for the stages it runs through dvc."),
    Variable("PYTHONPATH", "", "Searched after the checkout's own code when a stage runs."),
    Variable(
        "MLFLOW_TRACKING_URI",
        "sqlite in .bertops/mlflow",
        "Tracking server and registry, as http(s)://host:port.",
    ),
    Variable("MLFLOW_TRACKING_USERNAME", "", "User at a tracking server that asks for one."),
    Variable("MLFLOW_TRACKING_PASSWORD", "", "Password there; set by no file of the project."),
    Variable("MLFLOW_LOGGING_LEVEL", "WARNING", "How much MLflow says."),
    Variable("MLFLOW_DISABLE_TELEMETRY", "true", "MLflow sends nothing anywhere."),
    Variable("DO_NOT_TRACK", "true", "The same wish, as other libraries read it."),
    Variable(
        "MLFLOW_SERVER_ALLOWED_HOSTS",
        "set for the servers that bertops starts",
        "Names with ports that an MLflow server answers to.",
    ),
    Variable(
        "PREFECT_API_URL",
        "a temporary server for each run",
        "Prefect server, as http(s)://host:port/api.",
    ),
    Variable("PREFECT_API_AUTH_STRING", "", "user:password at a Prefect server that asks for it."),
    Variable("PREFECT_HOME", ".bertops/prefect", "Where Prefect keeps its state."),
    Variable("PREFECT_LOGGING_LEVEL", "CRITICAL", "How much Prefect says in `bertops run`."),
    Variable(
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS",
        "300",
        "How long the temporary server may take to start, in s.",
    ),
    Variable(
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
        "180",
        "Seconds between a run's signs of life, 30 at least; `bertops deploy` has a run crashed "
        "that misses three.",
    ),
    Variable(
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",
        "on disk for the servers that bertops starts",
        "Module that keeps the slots of running flows when the server restarts.",
    ),
    Variable("PREFECT_SERVER_ANALYTICS_ENABLED", "false", "Prefect sends nothing anywhere."),
    Variable("DVC_NO_ANALYTICS", "1", "DVC sends nothing anywhere."),
    Variable("GX_ANALYTICS_ENABLED", "false", "Great Expectations sends nothing anywhere."),
    Variable("HF_HUB_OFFLINE", "0", "`1` keeps Hugging Face libraries off the network."),
    Variable(
        "OMP_NUM_THREADS", "all processors", "Threads of torch and BLAS, on a shared machine."
    ),
    Variable("LOCAL_RANK", "", "Set by torchrun: which GPU of this machine."),
    Variable("RANK", "", "Set by torchrun: which process of all."),
    Variable("WORLD_SIZE", "", "Set by torchrun: how many processes train together."),
)
