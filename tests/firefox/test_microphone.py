"""The sounds page in Firefox, which for long connected no microphone to a context of another rate.

Without a loudspeaker a context of its never starts, and none can be had that needs no loudspeaker.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.fixtures import ROOT
from tests.browser.server import Server
from tests.firefox.tab import Tab

RATE, CHUNK, CHUNKS = 16_000, 1_024, 24
CONNECT = """async (sampleRate) => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    const context = new AudioContext({ sampleRate });
    context.createMediaStreamSource(stream).connect(new GainNode(context));
    const late = new Promise((resolve) => setTimeout(resolve, 3000));
    await Promise.race([context.resume(), late]);
    stream.getTracks().forEach((track) => track.stop());
    return context.state;
}"""
LISTEN = """async ({ rate, chunk, chunks }) => {
    const { Audio } = await import("/sounds/audio.js");
    const heard = [];
    const { promise, resolve } = Promise.withResolvers();
    const samples = (part) => heard.push(...part) >= chunks * chunk && resolve();
    const audio = new Audio({ rate, chunk, samples, ended() {} });
    await audio.listen(audio.begin());
    await promise;
    audio.stop();
    return heard.slice(0, chunks * chunk);
}"""
PLAY = """async ({ rate, chunk, chunks }) => {
    const { Audio } = await import("/sounds/audio.js");
    const heard = [];
    const audio = new Audio({ rate, chunk, samples: (part) => heard.push(...part), ended() {} });
    const signal = audio.begin();
    const over = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const samples = Float32Array.from({ length: chunks * chunk }, (_, at) => at / rate);
    const audible = await audio.play(samples, signal);
    await over;
    return { audible, heard };
}"""


def test_the_microphone_is_heard_at_the_rate_of_the_model(tab: Tab, server: Server) -> None:
    """It hums one tone, and one tone arrives; as far as connecting it also where there is no loudspeaker."""
    server.folders = {"/sounds/": ROOT / "demo_site" / "sounds" / "web", **server.folders}
    if tab.evaluate(CONNECT, RATE) != "running":
        pytest.skip("Firefox runs no audio here: there is no device that plays it")
    heard = tab.evaluate(LISTEN, {"rate": RATE, "chunk": CHUNK, "chunks": CHUNKS})
    samples = np.array(heard[len(heard) // 2 :], np.float32)  # past where it began
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    loudest = int(power.argmax())
    assert samples.std() > 0.01
    assert power[max(loudest - 3, 0) : loudest + 4].sum() > 0.95 * power.sum()


def test_sounds_pass_where_nothing_plays_them(tab: Tab, server: Server) -> None:
    server.folders = {"/sounds/": ROOT / "demo_site" / "sounds" / "web", **server.folders}
    told = tab.evaluate(PLAY, {"rate": RATE, "chunk": CHUNK, "chunks": CHUNKS})
    if told["audible"]:
        pytest.skip("there is a device that plays sounds")
    np.testing.assert_array_equal(told["heard"], (np.arange(CHUNKS * CHUNK) / RATE).astype(np.float32))
