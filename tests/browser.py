"""Notebooks in a real browser: JupyterLab with ipywidgets 8, the classic notebook with 7 as in Google Colab, Voilà."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

SCRIPT = Path(__file__).with_suffix(".js")
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
CLASSIC = Path(os.environ.get("RECSYS_TEACH_CLASSIC", Path(sys.prefix) / "classic"))  # `make classic` makes it
# Seconds until a page is given up that doesn't answer, and a notebook that doesn't come to its end: many times what
# they take, since the machine may be slow and busy with other tests.
PATIENCE, PATIENCE_TO_RUN = 300, 1_200
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
LOCAL = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # a page that needs the network fails
FOLDERS = ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
LAB_SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, also those out of sight
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
SERVER = ["--ip=127.0.0.1", "--allow-root", f"--MappingKernelManager.kernel_info_timeout={PATIENCE}"]
PLAIN = "--ZMQChannelsWebsocketConnection.kernel_ws_protocol="  # messages are JSON, as in the classic notebook
COMMANDS = {
    "lab": ["jupyterlab", *SERVER, PLAIN, "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"],
    "classic": ["notebook", *SERVER, "--NotebookApp.token=", "--NotebookApp.show_banner=False"],
    "voila": ["voila", PLAIN, *(f"--VoilaExecutor.{wait}_timeout={PATIENCE}" for wait in ("startup", "iopub")), "."],
}
expect.set_options(timeout=1000 * PATIENCE)
ADDRESSES = {"lab": "lab/tree/{}?reset", "classic": "notebooks/{}", "voila": "voila/render/{}"}


def find_chromium() -> str | None:
    """The path of the browser, if this machine has one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def need(kind: str) -> None:
    """Skip this test where the browser or the server is missing; fail instead if RECSYS_TEACH_BROWSER is `required`."""
    reason = "" if find_chromium() else "there is no chromium, chromium-browser or google-chrome"
    if kind == "classic" and not (CLASSIC / "bin").exists():
        reason = "there is no classic notebook: run `make classic`"
    if reason:
        (pytest.fail if os.environ.get("RECSYS_TEACH_BROWSER") == "required" else pytest.skip)(reason)


@contextmanager
def front_end(kind: str, folder: Path, dark: bool = False) -> Iterator[Callable[[str], "Notebook"]]:
    """What opens the folder's notebooks by name in `lab`, `classic` or `voila`; the user's settings have no bearing."""
    need(kind)
    with (
        tempfile.TemporaryDirectory() as own,
        _server(kind, folder, dark, Path(own)) as address,
        sync_playwright() as play,
    ):
        browser = launch(play)
        yield lambda name: Notebook(kind, new_page(browser, viewport={"width": 1400, "height": 1000}), address, name)
        browser.close()


def launch(play: Playwright) -> Browser:
    """A browser that reaches no network."""
    return play.chromium.launch(executable_path=find_chromium(), args=[*FLAGS, LOCAL], timeout=1000 * PATIENCE)


def new_page(browser: Browser, **options: Any) -> Page:
    """A page of its own, for which there is time."""
    page = browser.new_page(**options)
    page.set_default_timeout(1000 * PATIENCE)
    return page


@contextmanager
def _server(kind: str, folder: Path, dark: bool, own: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tone = "dark" if dark else "light"
    theme = {"apputils-extension/themes": {"theme": f"JupyterLab {tone.title()}"}}
    for name, values in (LAB_SETTINGS | theme).items():
        file = own / "JUPYTERLAB_SETTINGS" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    users = ("JUPYTER", "IPYTHON", "MPLBACKEND")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(users)}
    environment |= {f"{name}_DIR": str(own / name) for name in FOLDERS}
    environment |= {"IPYTHONDIR": str(own / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [str(CLASSIC / "bin" / "python") if kind == "classic" else sys.executable, "-m", *COMMANDS[kind]]
    command += ["--no-browser", f"--port={port}"] + ([f"--theme={tone}"] if kind == "voila" else [])
    with (own / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        while not _answers(f"http://127.0.0.1:{port}/{'' if kind == 'voila' else 'api/status'}"):
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=0.1)
                pytest.fail(f"the server ended:\n{(own / 'log').read_text()}")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()  # it ends its kernels, which end without it, too
        try:
            server.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=PATIENCE).close()
    except OSError:
        return False
    return True


class Notebook:
    """An open notebook, with the same verbs in every front end; `page` is Playwright's, for everything else."""

    def __init__(self, kind: str, page: Page, address: str, name: str):
        self.kind, self.page = kind, page
        self.console: list[str] = []  # the page's own errors
        page.on("console", lambda message: self._listen(message.type, message.text))
        page.on("pageerror", lambda error: self._listen("error", str(error)))
        page.add_init_script(path=SCRIPT)
        page.goto(address + ADDRESSES[kind].format(name))

    def _listen(self, kind: str, text: str) -> None:
        if kind == "error" and "Sec-WebSocket-Protocol" not in text:  # JupyterLab tries its own first: see PLAIN
            self.console.append(text)

    def run_all(self) -> None:
        """Run all cells, and wait until they have run. (Voilà runs them by itself.)"""
        if self.kind != "voila":
            self.page.wait_for_function("hasNotebook()")
            self.page.evaluate("runAll()")
            self.page.wait_for_function("hasRun()", timeout=1000 * PATIENCE_TO_RUN)

    def cells(self) -> list[dict]:
        """The cells of JupyterLab's notebook as they would be stored now."""
        return self.page.evaluate("cells()")

    def close(self) -> None:
        """End the kernel of JupyterLab's notebook, and close its page."""
        self.page.evaluate("shutDown()")
        self.page.close()

    def widget(self, label: str) -> Locator:
        """The widget with this description: label, control and readout."""
        text = self.page.locator(".widget-label", has_text=re.compile(rf"^\s*{re.escape(label)}\s*$"))
        return self.page.locator(".widget-inline-hbox").filter(has=text)

    def handle(self, label: str) -> Locator:
        """The handle of the slider with this description."""
        return self.widget(label).locator(".noUi-handle, .ui-slider-handle")

    def press(self, label: str, *keys: str) -> None:
        """Focus the slider's handle, and press keys such as ArrowRight."""
        self.handle(label).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def button(self, text: str) -> Locator:
        """The button widget with this text."""
        return self.page.locator("button.widget-button", has_text=re.compile(rf"^\s*{re.escape(text)}\s*$"))

    def html(self, text: str = "") -> Locator:
        """The HTML widgets that hold this text."""
        return self.page.locator(".widget-html-content", has_text=text)

    def screenshot(self, name: str) -> Path:
        """Store what is in sight as build/screenshots/NAME.png."""
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def error_outputs(self) -> list[str]:
        """Exceptions and stderr so far, those of widgets' callbacks too, which JupyterLab hides in its log."""
        return self.page.evaluate("kernelErrors") + self.page.locator(".jupyter-widgets-error-widget").all_inner_texts()
