"""When it is certain that a record was not written to Kafka."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import errors
from kafka.future import Future
from kafka.protocol.producer import ProduceRequest

from hgext3rd.fleet.adapters import kafka_gate
from hgext3rd.fleet.adapters.kafka_gate import Fate, Gate, nothing_written


class Network:
    """A network client that answers when the test does."""

    def __init__(self, **_configs):
        self.futures = []

    def send(self, _node, _request, **_options):
        self.futures.append(Future())
        return self.futures[-1]


class Answer:
    def __init__(self, *codes):
        self.partition_responses = [Code(code) for code in codes]
        self.responses = [self]


class Code:
    def __init__(self, code):
        self.error_code = code


@pytest.fixture
def gate(monkeypatch):
    monkeypatch.setattr(kafka_gate, 'KafkaNetClient', Network)
    return Gate()


def request():
    return ProduceRequest(version=9)


@pytest.mark.parametrize(
    ('error', 'fate'),
    [
        (errors.NoError, Fate.WRITTEN),
        (errors.MessageSizeTooLargeError, Fate.REFUSED),
        (errors.NotEnoughReplicasError, Fate.REFUSED),
        (errors.TopicAuthorizationFailedError, Fate.REFUSED),
        # Said of records that were written and may be kept.
        (errors.NotEnoughReplicasAfterAppendError, Fate.UNCLEAR),
        (errors.RequestTimedOutError, Fate.UNCLEAR),
        (errors.NotLeaderForPartitionError, Fate.UNCLEAR),
        (errors.KafkaStorageError, Fate.UNCLEAR),
        (errors.UnknownError, Fate.UNCLEAR),
    ],
)
def test_what_an_answer_means(gate, error, fate):
    future = gate.send(1, request())
    assert gate.fates() == [Fate.PENDING]
    future.success(Answer(error.errno))
    assert gate.fates() == [fate]


@pytest.mark.parametrize(
    ('error', 'fate'),
    [
        (errors.KafkaConnectionError('cut'), Fate.UNCLEAR),
        (errors.RequestTimedOutError(), Fate.UNCLEAR),
        (errors.NodeNotReadyError(1), Fate.REFUSED),
    ],
)
def test_what_no_answer_means(gate, error, fate):
    gate.send(1, request()).failure(error)
    assert gate.fates() == [fate]


def test_an_answer_about_nothing_is_unclear(gate):
    gate.send(1, request()).success(Answer())
    assert gate.fates() == [Fate.UNCLEAR]


def test_other_requests_are_not_counted_and_pass_a_shut_gate(gate):
    gate.shut()
    future = gate.send(1, object())
    assert not future.is_done
    assert gate.fates() == []


def test_nothing_passes_a_shut_gate(gate):
    gate.send(1, request())
    gate.shut()
    assert gate.send(1, request()).failed()
    assert len(gate._client.futures) == 1
    assert gate.fates() == [Fate.PENDING]


def test_an_answer_about_an_earlier_record_changes_nothing(gate):
    future = gate.send(1, request())
    gate.forget()
    future.success(Answer(0))
    assert gate.fates() == []


@given(st.lists(st.sampled_from(Fate)))
def test_one_doubt_is_enough(fates):
    assert nothing_written(fates) == (set(fates) <= {Fate.REFUSED})


def test_the_reason_of_a_refusal_is_kept(gate):
    assert gate.refusal() is None
    gate.send(1, request()).success(Answer(19))
    gate.send(1, request()).failure(errors.NodeNotReadyError(1))
    assert gate.refusal() == errors.NotEnoughReplicasError()
    gate.forget()
    assert gate.refusal() is None
