"""Plans of a shot: what its slot orders, checked, and the photo as a plan's provider takes it.

A slot's fallback is a complete second plan. A plan that cannot run at all, for want of a key say,
is left out; only when none is left the shot is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from service.errors import NotConfigured
from service.pictures.inspect import ImageInfo
from service.pictures.prepare import Photo, prepare
from service.providers import registry
from service.providers.base import Plan, Ready, TemplateImage
from service.queries import templates
from service.queries.jobs import Candidate
from service.queries.slots import IngestSlot, SlotPlan
from service.state import State
from service.storage.media import TempFiles, damaged, disk_errors
from service.threads import in_thread


async def plans_of(state: State, slot: IngestSlot) -> list[Plan]:
    """The plans of a slot that can run, the first one first. Raises `NotConfigured` when there is
    none, with what is wrong with the first."""
    images = await _images(state, slot.plans)
    found: list[Plan] = []
    problems: list[NotConfigured] = []
    for ordered in slot.plans:
        try:
            found.append(_plan(state, ordered, images))
        except NotConfigured as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return found


async def _images(state: State, ordered: Sequence[SlotPlan]) -> dict[UUID, Photo]:
    """The template images the plans use, by id; those whose file is gone are left out. Raises
    `StorageError` for a file that is damaged, and while the folder is not there."""
    ids = [use.media_id for plan in ordered for use in plan.templates]
    media = state["media"]
    return {
        found.id: Photo(media.path(found.path), found.mime, found.width, found.height, found.bytes)
        for found in (await templates.by_ids(state["db"], ids) if ids else [])
        if media.has_whole(found.path, found.bytes)
    }


def _plan(state: State, ordered: SlotPlan, images: Mapping[UUID, Photo]) -> Plan:
    """One plan with its templates, in the order the slot has them."""
    uses = [(use.role, images.get(use.media_id)) for use in ordered.templates]
    templates = [TemplateImage(role, image) for role, image in uses if image]
    if len(templates) < len(uses):
        raise NotConfigured("A template of this slot is missing. An admin has to set it anew.")
    accounts = state["provider_keys"].accounts()
    return registry.plan(ordered.provider, ordered.operation, ordered.settings, templates, accounts)


def candidates(slot: IngestSlot, plans: Sequence[Plan]) -> list[Candidate]:
    """The plans as a claim asks for their places."""
    limits = slot.provider_max_in_flight or {}
    return [
        Candidate(plan.provider.name, plan.operation, plan.model, limits.get(plan.provider.name))
        for plan in plans
    ]


@dataclass(frozen=True, slots=True)
class ShotPhoto:
    """The photo as it came, and how it may leave: where it lies, what it is, how large."""

    temp: TempFiles
    info: ImageInfo
    bytes: int
    max_side_px: int


async def make_ready(
    state: State, plan: Plan, source: ShotPhoto, made: Photo | None = None
) -> Ready:
    """The photo and the templates as they are sent to this plan's provider; `made` is the photo as
    another provider took it."""
    fits = made and made.mime in plan.provider.accepts
    photo = made if made and fits else await _photo(state, plan, source)
    templates = [
        await _fitting(state, plan, source.temp, number, template)
        for number, template in enumerate(plan.templates)
    ]
    return Ready(plan, photo, templates)


async def _photo(state: State, plan: Plan, source: ShotPhoto) -> Photo:
    """Untouched where the slot wants that and it can be."""
    accepts, info, temp = plan.provider.accepts, source.info, source.temp
    upload = temp.path("upload")
    if source.max_side_px == 0 and info.mime in accepts:
        with disk_errors():
            found = upload.stat().st_size
        if found != source.bytes:
            raise damaged(upload.name, found, source.bytes)
        return Photo(upload, info.mime, info.width, info.height, source.bytes)
    images, target = state["threads"].images, temp.path(f"{plan.provider.name}-photo")
    with disk_errors():
        return await in_thread(images, prepare, upload, target, source.max_side_px, accepts)


async def _fitting(
    state: State, plan: Plan, temp: TempFiles, number: int, template: TemplateImage
) -> TemplateImage:
    """A template in a type the provider takes, turned into one for this shot if need be."""
    photo, accepts = template.photo, plan.provider.accepts
    if photo.mime not in accepts:
        target = temp.path(f"{plan.provider.name}-template-{number}")
        images = state["threads"].images
        with disk_errors():
            photo = await in_thread(images, prepare, photo.path, target, 0, accepts)
    return TemplateImage(template.role, photo)
