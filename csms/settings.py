"""What the environment (prefix CSMS_) or a `.env` file sets, checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from csms.errors import StartupError


class Settings(BaseSettings):
    """Defaults give an embedded single node: one folder, one SQLite file, ports 9000 and 8080."""

    model_config = SettingsConfigDict(
        env_prefix="CSMS_",
        env_file=".env",
        env_ignore_empty=True,  # as compose files leave what nobody set
        extra="ignore",
        frozen=True,
    )

    database_url: SecretStr | None = Field(
        default=None, description="default: SQLite file csms.db in DATA_DIR"
    )
    data_dir: Path = Field(default=Path("var"), description="where the embedded database and files are kept")
    ocpp_host: str = Field(default="0.0.0.0", description="address for charging stations")
    ocpp_port: int = Field(default=9000, ge=0, le=65535, description="port for charging stations")
    ocpp_tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM): wss instead of ws, or on OCPP_TLS_PORT"
    )
    ocpp_tls_key: Path | None = Field(default=None, description="private key of OCPP_TLS_CERT (PEM)")
    ocpp_tls_ecdsa_cert: Path | None = Field(
        default=None, description="a second certificate chain, with a key of the other kind (PEM)"
    )
    ocpp_tls_ecdsa_key: Path | None = Field(
        default=None, description="private key of OCPP_TLS_ECDSA_CERT (PEM)"
    )
    ocpp_tls_port: int | None = Field(
        default=None, ge=0, le=65535, description="wss here, and ws on OCPP_PORT; unset = wss in place of ws"
    )
    ocpp_tls_hostname: str | None = Field(
        default=None,
        min_length=1,
        description="name(s) of this server, with commas, for a certificate of the built-in authority",
    )
    ocpp_client_ca: Path | None = Field(
        default=None, description="more authorities whose client certificates are taken (PEM)"
    )
    cpo_name: str = Field(default="", description="the O that stations' certificates must have; empty = any")
    web_host: str = Field(default="0.0.0.0", description="address for page, API and metrics")
    web_port: int = Field(default=8080, ge=0, le=65535, description="port for page, API and metrics")
    web_tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM): https instead of http"
    )
    web_tls_key: Path | None = Field(default=None, description="private key of WEB_TLS_CERT (PEM)")
    web_login: Literal["required", "open"] = Field(
        default="required", description="open: the page needs no login (a trusted network only)"
    )
    nats_url: SecretStr | None = Field(default=None, description="several nodes; unset = single node")
    site_file: Path | None = Field(
        default=None, description="applied at start if the database has no such site yet"
    )
    unknown_charge_points: Literal["reject", "pending", "accept"] = Field(
        default="reject", description="stations that no site names: refuse, wait for acceptance, or accept"
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
        description="how stations reach page and API, to fetch firmware and leave logs; unset = as the person"
        " who asks for it does",
    )
    files_limit_mb: int = Field(default=512, gt=0, description="largest firmware image [MB]")
    upload_limit_mb: int = Field(default=64, gt=0, description="largest log that a station may leave [MB]")
    unknown_id_tags: Literal["accept", "reject", "auto"] = Field(
        default="auto", description="badges that are not stored; auto: accepted as long as none is stored"
    )
    conformance_mode: bool = Field(
        default=False, description="send stations nothing but answers and what operators ask for (OCTT)"
    )
    frames_kept_days: float = Field(
        default=30, gt=0, le=3650, description="how long the frames exchanged with stations are kept"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="the least that is logged: DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="lines for people, or json for machines"
    )

    @model_validator(mode="after")
    def _certificates_come_with_keys(self) -> Self:
        for side in ("ocpp_tls", "ocpp_tls_ecdsa", "web_tls"):
            cert, key = getattr(self, f"{side}_cert"), getattr(self, f"{side}_key")
            if (cert is None) != (key is None):
                raise ValueError(f"CSMS_{side.upper()}_CERT and CSMS_{side.upper()}_KEY go together")
        return self

    @model_validator(mode="after")
    def _tls_has_one_source(self) -> Self:
        has_files = self.ocpp_tls_cert is not None or self.ocpp_tls_ecdsa_cert is not None
        if has_files and self.ocpp_tls_hostname is not None:
            raise ValueError(
                "CSMS_OCPP_TLS_HOSTNAME has certificates made; with CSMS_OCPP_TLS_CERT it must be unset"
            )
        if self.ocpp_tls_port is not None and not self.has_ocpp_tls:
            raise ValueError("CSMS_OCPP_TLS_PORT needs CSMS_OCPP_TLS_HOSTNAME or CSMS_OCPP_TLS_CERT")
        if self.ocpp_tls_port is not None and self.ocpp_tls_port == self.ocpp_port != 0:
            raise ValueError("CSMS_OCPP_TLS_PORT and CSMS_OCPP_PORT must differ")
        return self

    @property
    def has_ocpp_tls(self) -> bool:
        return any((self.ocpp_tls_cert, self.ocpp_tls_ecdsa_cert, self.ocpp_tls_hostname))

    def effective_database_url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_dir.resolve() / 'csms.db'}"


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        StartupError: naming each variable, its value and what was expected.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"CSMS_{'.'.join(map(str, d['loc'])).upper()} = {d['input']!r}: {d['msg']}"
            if d["loc"]
            else d["msg"].removeprefix("Value error, ")
            for d in error.errors()
        )
        raise StartupError(f"settings: {faults}") from None
