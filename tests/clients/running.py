"""A whole run: everything is installed and started, every client posts, everything is stopped."""

import os
from collections.abc import Sequence

from clients.catalog import REFUSAL, SHOT, Client
from clients.installing import Folder, install_programs, say
from clients.page import Results
from clients.proxies import open_way
from clients.shooting import Studio
from clients.site import site_faults
from devhome import Settings
from stage import open_stage


def run(clients: Sequence[Client], ways: Sequence[str], *, upgrade: bool) -> Results:
    """What these clients saw on these ways. Raises `CannotInstall`."""
    install_programs(clients, ways)
    folder = Folder(Settings.read(os.environ).folder / "clients")
    folder.fill(clients, upgrade=upgrade)
    results = Results()
    with open_stage() as stage, stage.service(TRUSTED_PROXIES="127.0.0.1") as service:
        studio = Studio.make(stage, service)
        for number, name in enumerate(ways, start=1):
            with open_way(name, stage.folder, service.port) as way:
                results.way_versions[name] = way.version
                results.sites[name] = list(site_faults(way, service))
                for place, client in enumerate(clients, start=1):
                    command = folder.command(client)
                    shot, results.versions[client.name] = studio.shot(client, command, way)
                    # An address each: wrong passwords are counted by it.
                    address = f"127.1.{number}.{place}"
                    refusal = studio.refusal(client, command, way, address)
                    results.cells[SHOT, client.name, name] = shot
                    results.cells[REFUSAL, client.name, name] = refusal
                    say(f"{name}: {client.name}: {shot}; wrong password: {refusal}")
    return results
