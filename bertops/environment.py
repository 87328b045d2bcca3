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
    Variable(
        "BERTOPS_FLOW_TIMEOUT_S",
        "604800",
        "How long a run of a flow may take, in s; then it is stopped and told as timed out.",
    ),
    Variable("BERTOPS_NODE", "", "Number of this machine, from 0, where several train together."),
    Variable("BERTOPS_SIGNING_KEY", "unsigned", "Private key that signs registered versions."),
    Variable(
        "BERTOPS_PUBLIC_KEY", "", "`mlflow models serve` refuses what its owner did not sign."
    ),
    Variable("BERTOPS_ENDING_FILE", "", "Set by bertops for the stages it runs through dvc."),
    Variable("BERTOPS_HELD_FILE", "", "The same; a stage stops when nobody holds it any more."),
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
        "that misses three and is silent for two minutes more.",
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

SERVER_VARIABLES = (
    Variable("POSTGRES_PASSWORD", "it does not start", "Of the user bertops of PostgreSQL."),
    Variable("POSTGRES_USER", "bertops", "Owner of the databases; set by infra/."),
    Variable("POSTGRES_DB", "prefect", "The first database; set by infra/."),
    Variable("PGDATA", "", "Folder of PostgreSQL inside of its volume; set by infra/k8s."),
    Variable("PGHOST", "", "PostgreSQL that is backed up and restored."),
    Variable("PGUSER", "", "User there."),
    Variable("PGPASSWORD", "", "Password there."),
    Variable("PREFECT_PASSWORD", "it does not start", "Of the user bertops of Prefect; compose."),
    Variable(
        "PREFECT_SERVER_API_AUTH_STRING", "anybody may come in", "user:password that Prefect asks."
    ),
    Variable(
        "PREFECT_API_DATABASE_CONNECTION_URL",
        "sqlite in PREFECT_HOME",
        "Database of the Prefect server, postgresql+asyncpg://user:password@host/prefect.",
    ),
    Variable(
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED",
        "true for the servers that bertops starts",
        "Changes want a token that other web pages cannot know.",
    ),
    Variable(
        "PREFECT_UI_API_URL",
        "http://127.0.0.1:4200/api",
        "Where browsers find the API of Prefect; behind a proxy, its public address.",
    ),
    Variable(
        "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES",
        "the whole cluster",
        "Where the worker of the pool gpu watches its Jobs; set by infra/k8s.",
    ),
    Variable(
        "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME",
        "Jobs repeat the password",
        "Secret that Jobs refer to for PREFECT_API_AUTH_STRING; set by infra/k8s.",
    ),
    Variable(
        "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY",
        "Jobs repeat the password",
        "Key in that secret; set by infra/k8s.",
    ),
    Variable("MLFLOW_PASSWORD", "it does not start", "Of the user bertops of MLflow; containers."),
    Variable(
        "MLFLOW_SECRET_KEY", "it does not start", "Signs MLflow's sessions; compose hands it on."
    ),
    Variable(
        "MLFLOW_FLASK_SERVER_SECRET_KEY", "it does not start", "The same, as MLflow reads it."
    ),
    Variable("MLFLOW_AUTH_CONFIG_PATH", "", "File with MLflow's first user; only it may read it."),
    Variable(
        "MLFLOW_BACKEND_STORE_URI",
        "",
        "Database of the MLflow server; no argument, since `ps` shows those to everybody.",
    ),
    Variable(
        "MLFLOW_ARTIFACTS_DESTINATION",
        "a folder in .bertops/services",
        "Where the MLflow server keeps files: s3://bucket/folder.",
    ),
    Variable(
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
        "this machine's",
        "Public address of MLflow behind a proxy; from elsewhere its pages may change nothing.",
    ),
    Variable(
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false", "Large files go through MLflow in parts."
    ),
    Variable("AWS_ACCESS_KEY_ID", "", "User of the S3-compatible store, for DVC and MLflow."),
    Variable("AWS_SECRET_ACCESS_KEY", "", "Password there."),
    Variable("AWS_ENDPOINT_URL", "Amazon's", "Address of the store."),
    Variable("AWS_DEFAULT_REGION", "", "Its region, where it has some."),
    Variable("S3_KEY", "it does not start", "AWS_ACCESS_KEY_ID of everything in compose."),
    Variable("S3_SECRET", "it does not start", "AWS_SECRET_ACCESS_KEY of everything in compose."),
    Variable("MINIO_ROOT_USER", "", "S3_KEY, as the store of compose reads it."),
    Variable("MINIO_ROOT_PASSWORD", "", "S3_SECRET, as the store of compose reads it."),
    Variable("MC_HOST_store", "", "Address of the store with both, for who makes the bucket."),
    Variable("MC_CONFIG_DIR", "", "Folder that the same may write to."),
    Variable("NVIDIA_VISIBLE_DEVICES", "all", "GPUs that a container sees."),
    Variable("NVIDIA_DRIVER_CAPABILITIES", "compute,utility", "What of the driver it gets."),
    Variable("BERTOPS_VERSION", "0.1.0", "Tag of the images that compose starts."),
    Variable("BERTOPS_REPOSITORY", "", "What a pod clones into its volume; infra/k8s."),
    Variable("MKL_NUM_THREADS", "all processors", "As OMP_NUM_THREADS; set by `make test`."),
    Variable("TOKENIZERS_PARALLELISM", "true", "`false` in `make test`: one thread each."),
)
"""What servers, containers and the Makefile read or are given, beside the above."""
