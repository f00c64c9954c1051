"""The machines: who is up, who leads, how they do; drain and take back."""

from datetime import timedelta

from aiohttp import web

from croncord.preview import iso_utc
from croncord.service.views import Json
from croncord.tls.identity import WARN_SECONDS
from croncord.web import auth
from croncord.web.charts import Quorum
from croncord.web.pages.frame import Frame, see_other

CLOCK_WARNING_MS = 500


class NodePages:
    """`/nodes` and `/cluster`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/nodes", self.nodes),
            web.post("/nodes/{name}/drain", self.drain),
            web.post("/nodes/{name}/undrain", self.undrain),
            web.post("/nodes/{name}/remove", self.remove),
            web.get("/cluster", self.cluster),
            web.get("/cluster/join-token", self.cluster),
            web.post("/cluster/join-token", self.join_token),
            web.post("/cluster/pause", self.pause),
            web.post("/cluster/resume", self.resume),
        ]

    async def nodes(self, request: web.Request) -> web.Response:
        """Show all machines."""
        return await self._show(request, "nodes.html")

    async def cluster(self, request: web.Request) -> web.Response:
        """Show how the machines agree."""
        return await self._show(request, "cluster.html")

    async def join_token(self, request: web.Request) -> web.Response:
        """Make a join token and show, this once, what to run on the new machine."""
        made = await self._frame.desk.membership.create_join_token(auth.who(request), {})
        return await self._show(request, "cluster.html", invitation=made)

    async def _show(
        self, request: web.Request, template: str, *, invitation: Json | None = None
    ) -> web.Response:
        cluster = await self._frame.desk.cluster.show(auth.who(request))
        nodes = cluster["nodes"]
        voters = [node for node in nodes if node["role"] != "observer"]
        answering = sum(1 for node in voters if node["state"] != "down")
        context = {
            "invitation": invitation,
            "cluster": cluster,
            "nodes": nodes,
            "voters": voters,
            "quorum": Quorum(len(voters) or 1, answering),
            "versions": sorted({node["version"] for node in nodes if node["version"]}),
            "applied_most": max((n["applied_index"] or 0 for n in nodes), default=0),
            "clock_warning_ms": CLOCK_WARNING_MS,
            "certificates_until": iso_utc(
                self._frame.desk.clock.now() + timedelta(seconds=WARN_SECONDS)
            ),
        }
        return await self._frame.page(request, template, context)

    async def drain(self, request: web.Request) -> web.Response:
        """Give the node no new runs."""
        name = request.match_info["name"]
        await self._frame.desk.cluster.drain(auth.who(request), name)
        return see_other("/nodes", f"{name} gets no new runs; what runs there goes on.")

    async def undrain(self, request: web.Request) -> web.Response:
        """Give the node runs again."""
        name = request.match_info["name"]
        await self._frame.desk.cluster.undrain(auth.who(request), name)
        return see_other("/nodes", f"{name} gets runs again.")

    async def remove(self, request: web.Request) -> web.Response:
        """Take the node out of the cluster."""
        name = request.match_info["name"]
        force = (await request.post()).get("force") == "on"
        await self._frame.desk.membership.remove(auth.who(request), name, force=force)
        return see_other("/nodes", f"{name} is no longer a member; its disk is not taken back.")

    async def pause(self, request: web.Request) -> web.Response:
        """Stop all launching."""
        await self._frame.desk.cluster.pause(auth.who(request))
        return see_other("/cluster", "Nothing new starts until somebody resumes.")

    async def resume(self, request: web.Request) -> web.Response:
        """Launch again."""
        await self._frame.desk.cluster.resume(auth.who(request))
        return see_other("/cluster", "Jobs start on schedule again.")
