"""Who acts, and what each role may do: the one table of permissions that CLI, API and console share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from graphs.errors import ConfigError
from graphs.signatures import nearest
from graphs.stores.errors import ForbiddenError

RoleName = Literal["viewer", "investigator", "lead", "admin"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
"""Each may do what those before it may, and more."""

PERMISSIONS: dict[str, RoleName] = {
    "view": "viewer",
    "sign_in": "viewer",
    "sign_out": "viewer",
    "sign_in_failed": "viewer",
    "claim": "investigator",
    "release": "investigator",
    "set_status": "investigator",
    "verdict": "investigator",
    "note": "investigator",
    "request_close": "investigator",
    "watch": "investigator",
    "unwatch": "investigator",
    "unmask": "investigator",
    "export": "investigator",
    "tag_benign": "investigator",
    "untag_benign": "investigator",
    "see_ids": "investigator",
    "assign": "lead",
    "approve_close": "lead",
    "reject_close": "lead",
    "reopen": "lead",
    "block": "lead",
    "unblock": "lead",
    "import_run": "lead",
    "export_labels": "lead",
    "read_audit": "lead",
    "set_person": "admin",
    "add_key": "admin",
    "revoke_key": "admin",
    "set_setting": "admin",
}
"""The least role that may do each thing."""


@dataclass(frozen=True)
class Actor:
    """A person or service with a role; `channel` is the door they came through (cli, api, console, python).

    >>> Actor("ana", "investigator").may("claim")
    True
    """

    name: str
    role: RoleName
    channel: str = "python"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"role: got {self.role!r}{nearest(str(self.role), ROLES)}; there are: {', '.join(ROLES)}")
        if not self.name.strip():
            raise ConfigError("actor: a name is needed, the audit says who did what")

    def may(self, action: str) -> bool:
        """Whether the role allows `action`, a key of PERMISSIONS."""
        return ROLES.index(self.role) >= ROLES.index(PERMISSIONS[action])

    def must(self, action: str) -> None:
        """Raise ForbiddenError unless the role allows `action`."""
        if not self.may(action):
            needed = PERMISSIONS[action]
            raise ForbiddenError(
                f"{action.replace('_', ' ')}: {self.name} is {self.role}, this takes {needed} or more; ask a {needed}"
            )
