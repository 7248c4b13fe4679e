"""Settings, read from the environment (and `.env`), the same for every service."""

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SHORTEST_SECRET = 32  # characters
ModelHub = Literal["timm", "open_clip", "hf-hub"]
PLACEHOLDERS = ("change", "example", "secret", "password", "default", "replace", "your-", "placeholder")


class ProviderSettings(BaseModel):
    """An OpenAI-compatible server and one of its models. Its key is a setting of its own, and secret.

    Limits hold over all workers together; None is no limit. Prices are US dollars per million tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str  # up to and without /chat/completions: 'https://api.openai.com/v1', 'http://vllm:8000/v1'
    model: str = Field(min_length=1, max_length=200)
    requests_per_minute: int | None = Field(None, gt=0)
    tokens_per_minute: int | None = Field(None, gt=0)
    concurrency: int = Field(4, gt=0, le=1024)
    timeout_s: float = Field(60.0, gt=0)
    tries: int = Field(7, gt=0, le=20)  # of a call that may get better
    patience_s: float = Field(300.0, ge=0)  # how long a server that is down is waited for
    price_in: float = Field(0.0, ge=0)
    price_out: float = Field(0.0, ge=0)
    max_answer_bytes: int = Field(2**20, gt=0)

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        """Credentials do not belong here: a URL is logged."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https URL")
        if parts.username or parts.password:
            raise ValueError("must hold no credentials: the key has a setting of its own")
        return url.rstrip("/")

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """US dollars for so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


class Settings(BaseSettings):
    """Every setting of Linework. An environment variable has the field's name in upper case."""

    # an error does not repeat what was given: it may be a key
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: str = "postgresql+psycopg://linework@localhost/linework"
    redis_url: str = "redis://localhost:6379/0"
    object_store_url: str = "file:///var/lib/linework/objects"
    embedder_url: str = "http://localhost:8001"

    api_host: str = "127.0.0.1"
    auth: Literal["on", "off"] = "on"  # 'off' is refused unless api_host is loopback
    allowed_hosts: list[str] = []  # names in 'Host' that are ours; with keys any, without them this machine's, if empty
    bootstrap_admin_key: SecretStr | None = None  # the first admin's: `python -m linework_api.keys bootstrap`
    bootstrap_admin_key_file: Path | None = None
    internal_token: SecretStr | None = None  # by which our services know one another
    internal_token_file: Path | None = None
    rate_limit_per_minute: int = Field(1200, ge=0)  # of a caller whose key says nothing else; 0 is no limit
    max_connections: int = Field(800, gt=0)  # open at a time, of a gateway or embedder …
    max_connections_per_address: int = Field(400, gt=0)  # … and from one address
    request_seconds: float = Field(10.0, gt=0)  # longest for a request's head, and between two parts of its body
    queue_seconds: float = Field(10.0, gt=0)  # longest that a request waits for its turn; then 503
    log_level: str = "INFO"

    ingest_roots: list[str] = []  # 'file:///data/uspto', 's3://bucket/prefix': what {"uri": …} may name
    max_upload_bytes: int = Field(20 * 2**30, gt=0)
    max_query_bytes: int = Field(50 * 2**20, gt=0)
    max_query_pixels: int = Field(100_000_000, gt=0)  # of a query's pictures together: seven sheets of 300 dpi have 59
    queries_at_once: int = Field(64, gt=0)  # searches by pictures under way in a gateway; a caller has a quarter
    query_bytes_at_once: int = Field(512 * 2**20, gt=0)  # and of their bodies together; a caller has a quarter
    decode_seconds: float = Field(20.0, gt=0)  # longest a child process may take for one picture
    decode_memory_bytes: int = Field(3 * 2**30, gt=0)
    decode_workers: int = Field(2, gt=0)
    split_sheets: bool = True  # into drawings at ingest, where that is certain

    default_encoder: str = "linework-mini"
    model_hubs: list[ModelHub] = []  # whose models a caller may have loaded: 'timm', 'open_clip', 'hf-hub' (anybody's)
    model_roots: list[Path] = []  # folders whose models a caller may name
    debug_encoders: bool = False  # 'debug:…', which embeds nothing; for tests
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    embed_batch_size: int = Field(64, gt=0)
    embed_batch_ms: float = Field(5.0, ge=0)
    embed_queue_limit: int = Field(1024, gt=0)
    gpu_memory_fraction: float = Field(1.0, gt=0, le=1)
    cpu_threads: int = Field(0, ge=0)  # 0: torch decides

    cache_dir: Path = Path(tempfile.gettempdir()) / f"linework-{os.getuid()}"  # what can be made again
    train_processes: int = Field(0, ge=0)  # of one training on this machine; 0: one for each GPU
    train_loaders: int | None = Field(None, ge=0)  # processes that draw variants, for each of them; None: by the cores
    train_launcher: Literal["local", "kubernetes"] = "local"  # here, or as pods on several nodes
    train_template: str = "linework-training"  # the CronJob that says what such a pod is

    enrich_provider: Literal["template", "openai"] = "template"  # where a request names none
    llm: ProviderSettings | None = None  # what 'openai' asks
    captioner: ProviderSettings | None = None  # a vision model, told what to look at
    llm_api_key: SecretStr | None = None
    llm_api_key_file: Path | None = None  # a mounted secret; read anew for each job, so that it can be rotated
    captioner_api_key: SecretStr | None = None
    captioner_api_key_file: Path | None = None

    lease_seconds: float = Field(30.0, gt=0)  # a worker silent for this long has lost its job
    reconcile_seconds: float = Field(10.0, gt=0)  # how often undone work is looked for
    idempotency_days: int = Field(7, gt=0)  # how long a repeated POST gets the same job
    audit_retention_days: int = Field(0, ge=0)  # entries of the audit log older than this are deleted; 0 keeps them
    search_retention_days: int = Field(0, ge=0)  # records of searches older than this are deleted; 0 keeps them
    alive_file: Path | None = None  # touched by workers and the beat while they live; for health checks
    pool_size: int = Field(
        10, gt=0
    )  # database connections a process keeps, and requests that a gateway answers at once

    @field_validator("database_url")
    @classmethod
    def _psycopg(cls, url: str) -> str:
        """Operators write postgresql://; SQLAlchemy wants its driver named."""
        for prefix in ("postgresql://", "postgres://"):
            if url.startswith(prefix):
                return "postgresql+psycopg://" + url.removeprefix(prefix)
        return url

    def api_key(self, of: Literal["llm", "captioner"]) -> SecretStr | None:
        """A provider's key, from the environment or else from its file. Raises OSError where that cannot be read."""
        return self._secret(f"{of}_api_key")

    def own_secret(self, name: Literal["bootstrap_admin_key", "internal_token"]) -> SecretStr | None:
        """A secret of this installation. Raises ValueError for one that can be guessed, OSError as above."""
        found = self._secret(name)
        if found is not None:
            try:
                check_strength(found.get_secret_value())
            except ValueError as error:
                raise ValueError(f"{name.upper()} {error}") from None
        return found

    def _secret(self, name: str) -> SecretStr | None:
        given: SecretStr | None = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        return SecretStr(file.read_text().strip()) if given is None and file is not None else given

    @property
    def on_loopback(self) -> bool:
        return self.api_host in ("127.0.0.1", "::1", "localhost")


@cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()


def check_strength(secret: str) -> None:
    """Raises ValueError for what is short, repetitive, or a placeholder that nobody has replaced."""
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"has fewer than {SHORTEST_SECRET} characters; make one: openssl rand -hex 32")
    if not all(" " < character <= "~" for character in secret):
        raise ValueError("must be of printable ASCII characters, without spaces: a header carries it")
    if len(set(secret)) < 10 or any(word in secret.lower() for word in PLACEHOLDERS):
        raise ValueError("is a placeholder, not a secret; make one: openssl rand -hex 32")


def sha256(text: str) -> str:
    """Hex digest of a text, as API keys and idempotency keys are compared."""
    return hashlib.sha256(text.encode()).hexdigest()
