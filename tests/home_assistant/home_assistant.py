"""Home Assistant itself with its MQTT integration, and nothing else: its core, its registries and a
config entry for the broker whose port is named. It runs in its own Python; see `install`.

It prints a line for each change, and takes lines:

    device [NAME, MODEL, MANUFACTURER]      answers `device`, a line for each
    state ENTITY STATE ATTRIBUTES           an entity has changed
    gone ENTITY                             it was removed
    triggers TYPE TYPE ...                  answers `triggers`
    call DOMAIN SERVICE ENTITY              calls a service
    quit                                    ends it
"""

import asyncio
import json
import logging
import pathlib
import sys
import tempfile

from homeassistant import auth, config_entries, core, loader
from homeassistant.components.mqtt import device_trigger
from homeassistant.components.mqtt.config_flow import FlowHandler
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.helpers import (
    area_registry, category_registry, device_registry, entity, entity_registry, floor_registry, frame,
    issue_registry, label_registry, restore_state, template, translation)


def say(*words):
    print(*words, flush=True)


async def start(folder, port):
    (folder / "configuration.yaml").touch()
    hass = core.HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    for module in (entity, frame, template, translation):
        module.async_setup(hass)
    registries = (area_registry, category_registry, device_registry, entity_registry, floor_registry,
                  issue_registry, label_registry, restore_state)
    await asyncio.gather(*(registry.async_load(hass) for registry in registries))
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await hass.config_entries.async_initialize()
    # Web pages, which nobody looks at here.
    hass.config.components |= {"http", "file_upload", "network"}
    hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
    await hass.config_entries.async_add(config_entries.ConfigEntry(
        version=FlowHandler.VERSION, minor_version=FlowHandler.MINOR_VERSION, domain="mqtt", title="broker",
        data={"broker": "127.0.0.1", "port": port, "protocol": "5"}, options={"discovery": True},
        source="user", unique_id=None, discovery_keys={}, subentries_data=None))
    await hass.async_start()
    return hass


@core.callback
def changed(event):
    new = event.data["new_state"]
    if new is None:
        say("gone", event.data["entity_id"])
    else:
        say("state", new.entity_id, new.state, json.dumps(dict(new.attributes), default=str))


async def obey(hass, line):
    match line.split():
        case ["call", domain, service, name]:
            await hass.services.async_call(domain, service, {"entity_id": name}, blocking=True)
        case ["device"]:
            for device in device_registry.async_get(hass).devices.values():
                say("device", json.dumps([device.name, device.model, device.manufacturer]))
        case ["triggers"]:
            triggers = []
            for device in device_registry.async_get(hass).devices.values():
                triggers += await device_trigger.async_get_triggers(hass, device.id)
            say("triggers", *sorted(trigger["type"] for trigger in triggers))
        case _:
            say("unknown command", line)


async def main(port):
    with tempfile.TemporaryDirectory() as folder:
        hass = await start(pathlib.Path(folder), port)
        say("started")
        lines = asyncio.get_running_loop().run_in_executor
        while (line := (await lines(None, sys.stdin.readline)).strip()) and line != "quit":
            await obey(hass, line)
        await hass.async_stop(force=True)


logging.basicConfig(level=logging.WARNING)
asyncio.run(main(int(sys.argv[1])))
