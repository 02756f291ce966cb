"""Does every act on the page with a real Chromium: by keys alone, on a phone in Korean, and without script. Started by test_browser_acts.py.

    PYTHON walk_acts.py '{"base": "http://127.0.0.1:8080", "chromium": "...", "folder": "...", "name": "kim", "password": "..."}'

Prints one JSON object: what went wrong, and the command lines that were shown.
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from walk import FLAGS, LOOKS, Walk

LOOKS["korean phone"] = {**LOOKS["phone"], "locale": "ko-KR"}
LOOKS["no script"] = {"viewport": {"width": 1366, "height": 768}, "java_script_enabled": False}


class Acts(Walk):
    """One person, who has signed in with each browser."""

    def signed_in(self, look):
        page = self.open(look)
        self.go(page, "/sign-in?back=/pipelines")
        page.locator("input[name=name]").fill(self.order["name"])
        page.locator("input[name=password]").fill(self.order["password"])
        page.keyboard.press("Enter")
        page.wait_for_url(self.order["base"] + "/pipelines")
        self.look_closely(page, look)
        return page

    def look_closely(self, page, look):
        if look != "no script":
            self.check(page, f"{look} {page.url}")
        if self.order.get("shots"):
            name = page.url.replace(self.order["base"], "").strip("/").replace("/", "-").replace("?", "-") or "today"
            step = "seen" if page.locator("pre.same").count() else "form"
            page.screenshot(path=str(Path(self.order["shots"]) / f"act-{look.replace(' ', '-')}-{name}-{step}.png"), full_page=True)

    def deed(self, page, look, address, fields, by="click", checked=()):
        """Fill the form, see what would happen, confirm; the command lines that were shown."""
        self.go(page, address)
        for name, value in fields.items():
            field = page.locator(f"[name='{name}']")
            kind = field.first.evaluate("each => each.type") if look != "no script" else field.first.get_attribute("type") or "select"
            if kind in ("radio", "checkbox"):
                page.locator(f"[name='{name}'][value='{value}']").check()
            elif kind.startswith("select"):
                field.select_option(value)
            else:
                field.fill(value)
        for value in checked:
            page.locator(f"[value='{value}']").check()
        self.look_closely(page, look)
        page.locator("[name=go][value=preview]").click()
        page.locator("pre.same").wait_for()
        self.look_closely(page, look)
        lines = page.locator("pre.same").inner_text().split("\n")
        self.seen.setdefault("commands", []).extend(lines)
        confirm = page.locator("[name=go][value=do]")
        if by == "double":
            confirm.dblclick(no_wait_after=True)
        else:
            confirm.click()
        page.wait_for_url(lambda url: "/act/" not in url)
        return lines

    def state(self, page, look, run, state):
        """Until the page of the run shows it; without script by looking again."""
        for _ in range(600):
            self.go(page, f"/runs/{run}")
            if page.locator(f".head .s-{state}").count():
                return
            page.wait_for_timeout(100)
        self.trouble.append(f"{run} never became {state}")

    # -- by keys alone

    def focus(self, page, selector):
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        self.trouble.append(f"Tab never comes to {selector}")

    def by_keys(self):
        page = self.signed_in("desk")
        self.go(page, "/pipelines/acted")
        self.focus(page, "a.button[href$='/act/trigger']")
        page.keyboard.press("Enter")
        page.locator("h1", has_text="Run: acted").wait_for()
        self.focus(page, "[name='param.region']")
        page.keyboard.press("ArrowDown")
        self.focus(page, "[name='reason']")
        page.keyboard.type("it's a trial")
        self.focus(page, "[name='go'][value='preview']")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")  # in a field, as one ends a form
        page.locator("pre.same").wait_for()
        self.look_closely(page, "desk")
        self.seen.setdefault("commands", []).append(page.locator("pre.same").inner_text())
        if not page.evaluate("document.activeElement.matches('[name=go][value=do]')"):
            self.trouble.append("what confirms has not the focus")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/runs/acted@" in url)
        self.seen["open_date"] = page.url.rpartition("/")[2]
        lines = self.deed(page, "desk", "/pipelines/acted/act/trigger", {"date": "2026-01-05", "reason": "double click"}, by="double")
        self.state(page, "desk", "acted@2026-01-05", "failed")
        self.deed(page, "desk", "/pipelines/acted/act/trigger", {"date": "2026-01-05", "new": "1"}, by="double")
        self.state(page, "desk", "acted@2026-01-05%232", "failed")
        self.go(page, "/pipelines/acted/act/rerun")
        page.locator("[data-x='0'][data-y='1']").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        if page.evaluate("[document.activeElement.dataset.x, document.activeElement.dataset.y].join()") != "1,2":
            self.trouble.append("the arrows do not move through the grid of a rerun")
        page.context.close()
        return lines

    # -- on a phone, in Korean

    def on_a_phone(self):
        look = "korean phone"
        page, run = self.signed_in(look), "acted@2026-01-05"
        self.deed(page, look, f"/runs/{run}/act/mark", {"step": "bad", "state": "success", "reason": "확인했음"})
        Path(self.order["folder"], "mended").touch()
        self.deed(page, look, f"/runs/{run}/act/rerun", {"what": "all", "reason": "다시"})
        self.state(page, look, run, "success")
        page.context.close()

    # -- without script

    def without_script(self):
        look = "no script"
        page = self.signed_in(look)
        self.deed(page, look, "/pipelines/acted/act/hold", {"step": "bad", "reason": "look first"})
        self.deed(page, look, "/pipelines/acted/act/backfill", {"first": "2026-01-06", "last": "2026-01-08", "order": "newest"})
        self.deed(page, look, "/backfills/1/act/stop", {"reason": "enough"})
        for day in (6, 7, 8):
            self.state(page, look, f"acted@2026-01-0{day}", "killed")
        self.deed(page, look, "/pipelines/acted/act/release", {})
        self.deed(page, look, "/runs/acted@2026-01-06/act/rerun", {"what": "from"}, checked=["good"])
        self.state(page, look, "acted@2026-01-06", "success")
        self.go(page, "/pipelines/acted/act/rerun")
        cells = [page.locator("[name=cells][aria-label*='bad 2026-01-05 ']").first.get_attribute("value"), page.locator("[name=cells][aria-label*='bad 2026-01-06 ']").first.get_attribute("value")]
        self.deed(page, look, "/pipelines/acted/act/rerun", {}, checked=cells)
        for run in ("acted@2026-01-05", "acted@2026-01-06"):
            self.state(page, look, run, "success")
        self.deed(page, look, "/pipelines/waits/act/trigger", {"date": "2026-01-05"})
        self.state(page, look, "waits@2026-01-05", "running")
        self.deed(page, look, "/runs/waits@2026-01-05/act/stop", {"reason": "too long"})
        self.state(page, look, "waits@2026-01-05", "killed")
        self.go(page, "/pipelines")
        page.locator("a.switch[href$='/acted/act/pause']").click()
        page.locator("[name=reason]").fill("we move")
        page.locator("[name=go]").click()
        page.locator("[name=go][value=do]").click()
        page.wait_for_url(lambda url: "/act/" not in url)
        self.deed(page, look, "/pipelines/acted/act/unpause", {})
        page.context.close()


def main():
    order = json.loads(sys.argv[1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=order["chromium"], args=FLAGS)
        walk = Acts(browser, order)
        walk.by_keys()
        walk.on_a_phone()
        walk.without_script()
        browser.close()
    print(json.dumps({"trouble": walk.trouble, **walk.seen}, ensure_ascii=False))


if __name__ == "__main__":
    main()
