"""Elections: who may start one, who votes, how votes are counted.

Remedies for scenario s10 (a pause starts an election although the leader lives) and for votes
that pysyncobj counts per message instead of per voter and term. Pre-vote and the rule that voters
ignore candidates while their leader is heard are those of Ongaro's thesis, sections 9.6 and 4.2.3.
"""

from typing import Any

from pysyncobj.node import Node

from croncord.raft.engine.pinned import CANDIDATE, FOLLOWER, LEADER, Message, Pinned

RETRY = 0.5
"""Share of an election timeout after which a candidate that was not elected tries again."""
HURRY = 0.5
"""Share of the spread of election timeouts that is waited when the leader's connection is gone."""
HURRY_SECONDS = 0.05
"""And at least this long, so that the others notice too."""


class Votes(Pinned):
    """Pre-vote, one counted vote per voter and term, and calm after a pause."""

    def prepare(self) -> None:
        """Start without votes."""
        super().prepare()
        self._votes: tuple[int, set[str]] = (0, set())
        self._prevotes: tuple[int, set[str]] | None = None
        self._last_tick: float | None = None

    def recover(self) -> None:
        """Start at once when alone: there is nobody to wait for."""
        super().recover()
        if not self.peers:
            self.election_deadline = self.now()

    def tick(self, timeout: float) -> None:
        """Decide about an election before pysyncobj would start one without asking."""
        now = self.now()
        self._notice_pause(now)
        if self.role != LEADER:
            if not self.may_campaign():
                self.election_deadline = now + 2 * self.conf.raftMaxTimeout
            elif self.election_deadline < now:
                self._ask_for_prevotes()
        super().tick(timeout)

    def may_campaign(self) -> bool:
        """Whether this node is a voter in good standing."""
        return self.me is not None

    def _notice_pause(self, now: float) -> None:
        """After a pause of this process, read what waits in the sockets before judging others."""
        if self._last_tick is not None and now - self._last_tick > self.conf.raftMinTimeout / 2:
            gap = now - self._last_tick
            grace = now + self.conf.raftMinTimeout / 2
            self.election_deadline = max(self.election_deadline, grace)
            for node in self.last_response:
                self.last_response[node] += gap
        self._last_tick = now

    def leader_is_heard(self) -> bool:
        """Whether a leader (this node included) was in contact within an election timeout."""
        if self.role == LEADER:
            return True
        silent = self.now() - self.last_contact
        return self.leader in self.connected and silent < self.conf.raftMinTimeout

    def disconnected_from(self, node: Node) -> None:
        """Do not wait out the timeout when the leader's connection is gone: it mostly died.

        If it did not, the others still hear it, and the pre-vote comes to nothing.
        """
        super().disconnected_from(node)
        if node == self.leader and self.role == FOLLOWER:
            hurry = (self.election_timeout() - self.conf.raftMinTimeout) * HURRY
            self.election_deadline = min(self.election_deadline, self.now() + HURRY_SECONDS + hurry)

    # -- pre-vote ----------------------------------------------------------------------------

    def _ask_for_prevotes(self) -> None:
        me = self.me
        if me is None:
            return
        self.election_deadline = self.now() + RETRY * self.election_timeout()
        if self.role == CANDIDATE:
            self.role = FOLLOWER
        self._prevotes = (self.term + 1, {me.id})
        question: Message = {
            "type": "prevote",
            "term": self.term + 1,
            "last_log_index": self.log.last_index,
            "last_log_term": self.log[-1][2],
        }
        for node in self.peers:
            self.send(node, {**question, "incarnation": node.incarnation})
        self._count_prevotes()

    def _count_prevotes(self) -> None:
        if self._prevotes is not None and self.majority(len(self._prevotes[1])):
            self._start_election(transfer=False)

    def _on_prevote(self, node: Node, message: Message) -> None:
        if self.may_vote(message) and not self.leader_is_heard():
            if message["term"] <= self.term:
                self.send(node, {"type": "prevote_late", "term": self.term})
            elif self._is_up_to_date(message):
                self.send(node, {"type": "prevote_ok", "term": message["term"]})

    def _on_prevote_late(self, node: Node, message: Message) -> None:
        """Catch up with a term that others have reached, or nobody would ever vote for us."""
        if message["term"] > self.term and node in self.peers and not self.leader_is_heard():
            self._prevotes = None
            self.step_down(message["term"])

    def _on_prevote_ok(self, node: Node, message: Message) -> None:
        counts = self._prevotes is not None and message["term"] == self._prevotes[0]
        if counts and node in self.peers and self.role != LEADER and self._prevotes is not None:
            self._prevotes[1].add(node.id)
            self._count_prevotes()

    # -- votes -------------------------------------------------------------------------------

    def may_vote(self, message: Message) -> bool:  # noqa: ARG002 - overrides look at it
        """Whether this node's vote is safe to give in answer to a request."""
        return self.me is not None

    def _is_up_to_date(self, message: Message) -> bool:
        theirs = (message["last_log_term"], message["last_log_index"])
        return theirs >= (self.log[-1][2], self.log.last_index)

    def _on_request_vote(self, node: Node, message: Message) -> None:
        if not self.may_vote(message):
            return
        term, transfer = message["term"], message["transfer"]
        if term > self.term:
            if self.leader_is_heard() and self.role != LEADER and not transfer:
                return
            self.step_down(term)
        granted = (
            term == self.term
            and self.role != LEADER
            and self._is_up_to_date(message)
            and self.voted_for in (None, node.id)
        )
        if granted:
            self.set_term(term, node.id)
            self.election_deadline = self.now() + self.election_timeout()
        self.send(node, {"type": "response_vote", "term": self.term, "granted": granted})

    def _on_response_vote(self, node: Node, message: Message) -> None:
        term = message["term"]
        if term > self.term:
            self.step_down(term)
            return
        if self.role != CANDIDATE or term != self.term or not message["granted"]:
            return
        if self._votes[0] == term and node in self.peers:
            self._votes[1].add(node.id)
            if self.majority(len(self._votes[1])):
                self.become_leader()

    def on_message(self, node: Node, message: Message) -> None:
        """Route what belongs to elections; pysyncobj's own vote handling is never reached."""
        handler: Any = {
            "prevote": self._on_prevote,
            "prevote_ok": self._on_prevote_ok,
            "prevote_late": self._on_prevote_late,
            "request_vote": self._on_request_vote,
            "response_vote": self._on_response_vote,
            "timeout_now": self._on_timeout_now,
        }.get(message["type"])
        if handler is None:
            super().on_message(node, message)
        else:
            handler(node, message)

    def _on_timeout_now(self, node: Node, message: Message) -> None:
        """Take over at the leader's request: no pre-vote, and voters make an exception."""
        if self.may_campaign() and message["term"] == self.term and node == self.leader:
            self._start_election(transfer=True)

    def _start_election(self, *, transfer: bool) -> None:
        """Enter a new term as candidate and ask for votes; the own one is durable first."""
        me = self.me
        if me is None:
            return
        self._prevotes = None
        self.election_deadline = self.now() + RETRY * self.election_timeout()
        self.leader = None
        self.role = CANDIDATE
        self.set_term(self.term + 1, me.id)
        self._votes = (self.term, {me.id})
        request: Message = {
            "type": "request_vote",
            "term": self.term,
            "last_log_index": self.log.last_index,
            "last_log_term": self.log[-1][2],
            "transfer": transfer,
        }
        for node in self.peers:
            self.send(node, {**request, "incarnation": node.incarnation})
        self.leader_changed()
        if self.majority(1):
            self.become_leader()

    def leader_changed(self) -> None:
        """End a pre-vote: a leader was heard, or this node became a candidate."""
        self._prevotes = None
        super().leader_changed()
