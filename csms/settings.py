"""What the environment (prefix CSMS_) or a `.env` file sets, checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from csms.errors import StartupError


class Settings(BaseSettings):
    """Defaults give an embedded single node: one folder, one SQLite file, ports 9000 and 8080."""

    model_config = SettingsConfigDict(env_prefix="CSMS_", env_file=".env", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        default=None, description="default: SQLite file csms.db in DATA_DIR"
    )
    data_dir: Path = Field(default=Path("var"), description="where the embedded database and files are kept")
    ocpp_host: str = Field(default="0.0.0.0", description="address for charging stations")
    ocpp_port: int = Field(default=9000, ge=0, le=65535, description="port for charging stations")
    ocpp_tls_cert: Path | None = Field(default=None, description="certificate chain (PEM): wss instead of ws")
    ocpp_tls_key: Path | None = Field(default=None, description="private key of OCPP_TLS_CERT (PEM)")
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
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    @model_validator(mode="after")
    def _certificates_come_with_keys(self) -> Self:
        for side in ("ocpp", "web"):
            cert, key = getattr(self, f"{side}_tls_cert"), getattr(self, f"{side}_tls_key")
            if (cert is None) != (key is None):
                raise ValueError(f"CSMS_{side.upper()}_TLS_CERT and CSMS_{side.upper()}_TLS_KEY go together")
        return self

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
