"""Walks through all screens with a real Chromium: run by a Python that has playwright, started by test_browser.py.

    PYTHON walk.py '{"base": "http://127.0.0.1:8080", "screens": {...}, ...}'

Prints one JSON object: what went wrong, and what was seen. No other host is reached: what asks for one is stopped and told.
"""

import json
import os
import signal
import sys
from pathlib import Path

from playwright.sync_api import TimeoutError as TooLong
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LOOKS = {
    "desk": {"viewport": {"width": 1366, "height": 768}},
    "night": {"viewport": {"width": 1366, "height": 768}, "color_scheme": "dark", "locale": "ko-KR"},
    "dusk": {"viewport": {"width": 1366, "height": 768}, "color_scheme": "dark"},
    "day": {"viewport": {"width": 1366, "height": 768}, "locale": "ko-KR"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2},
}
# Every text can be read against what is behind it, every field and link has a name, one heading of the first rank.
CHECK = """() => {
  const out = [], parse = (text) => { const n = (text.match(/[\\d.]+/g) || []).map(Number); return text.startsWith('color(') ? [n[0] * 255, n[1] * 255, n[2] * 255, n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3]));
  const back = (at) => { const stack = []; for (; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c[3]) { stack.push(c); if (c[3] === 1) break; } }
    return stack.reverse().reduce((under, c) => over(c, under), [255, 255, 255]); };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(), count = 0; node && count < 4000; node = walker.nextNode(), count++) {
    const at = node.parentElement;
    if (!node.data.trim() || !at.getClientRects().length || at.closest('svg, .unseen, noscript, option, [hidden], script')) continue;
    const style = getComputedStyle(at), under = back(at), ratio = ((a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05))(light(over(parse(style.color), under)), light(under));
    const key = at.className + style.color + under;
    if (ratio < 4.5 && !seen.has(key)) { seen.add(key); out.push(`contrast ${ratio.toFixed(2)} of "${node.data.trim().slice(0, 30)}" in .${at.className}`); }
  }
  for (const each of document.querySelectorAll('input:not([type=hidden]), select, textarea')) if (!each.labels.length && !each.ariaLabel) out.push('no label: ' + each.outerHTML.slice(0, 80));
  for (const each of document.querySelectorAll('a[href], button')) if (!(each.textContent.trim() || each.querySelector('title') || each.querySelector('use') || each.title)) out.push('no name: ' + each.outerHTML.slice(0, 80));
  if (document.querySelectorAll('h1').length !== 1) out.push(document.querySelectorAll('h1').length + ' first headings');
  const room = Math.min(innerWidth, screen.width);  // a phone makes its window as wide as what is too wide for it
  if (document.documentElement.scrollWidth > room + 1) out.push(`wider than the window: ${document.documentElement.scrollWidth} > ${room}`);
  const ids = [...document.querySelectorAll('[id]')].map((each) => each.id), twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (twice.length) out.push('ids twice: ' + [...new Set(twice)]);
  return out;
}"""

# axe-core: what a person cannot see, hear or reach, by the rules of WCAG 2.0 to 2.2, A and AA.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
AXE = """(rules) => axe.run(document, {resultTypes: ['violations'], runOnly: rules}).then((found) => found.violations.map((each) =>
  `axe ${each.id}: ${each.nodes.length} times, ${each.nodes[0].html.slice(0, 160)} ${each.nodes[0].failureSummary.slice(0, 200)}`))"""


class Walk:
    """One browser; `trouble` is what a person would complain of."""

    def __init__(self, browser, order):
        self.browser, self.order, self.trouble, self.seen = browser, order, [], {}

    def open(self, look):
        context = self.browser.new_context(**LOOKS[look])
        context.route("**/*", self.stop_others)
        page = context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and self.trouble.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: self.trouble.append(f"error in the page: {error}"))
        return page

    def stop_others(self, route):
        if route.request.url.startswith(self.order["base"] + "/"):
            route.continue_()
        else:
            self.trouble.append(f"asked for {route.request.url}")
            route.abort()

    def go(self, page, path):
        answer = page.goto(self.order["base"] + path)
        if answer.status != 200:
            self.trouble.append(f"{path}: {answer.status}")
        timing = page.evaluate("(() => { const t = performance.getEntriesByType('navigation')[0]; return [t.duration, t.encodedBodySize, t.decodedBodySize]; })()")
        self.seen.setdefault("timing", {})[path] = [round(each) for each in timing]

    def check(self, page, what):
        """After its style sheet has come: a browser that is asked for widths before lays the page out without."""
        page.wait_for_load_state("load")
        self.trouble += [f"{what}: {each}" for each in page.evaluate(CHECK)]

    def judge(self, page, what):
        """What a person would have trouble with on that page."""
        self.check(page, what)
        if self.order.get("axe"):
            page.evaluate(Path(self.order["axe"]).read_text(encoding="utf-8"))
            self.trouble += [f"{what}: {each}" for each in page.evaluate(AXE, RULES)]
            self.seen["axe"] = self.seen.get("axe", 0) + 1

    def signed(self, look):
        """The door, and behind it what only shows to who has signed in: forms, buttons, people."""
        page = self.open(look)
        page.goto(self.order["base"] + "/")
        self.judge(page, f"{look} the door")
        page.locator("input[name=name]").fill(self.order["name"])
        page.locator("input[name=password]").fill(self.order["password"])
        page.keyboard.press("Enter")
        self.expect(page, "who has signed in", "(name) => document.querySelector('.person') && document.querySelector('.person').textContent.includes(name)", self.order["name"])
        for name, path in self.order["signed"].items():
            self.go(page, path)
            self.judge(page, f"{look} {name}")
            if self.order.get("shots"):
                page.screenshot(path=str(Path(self.order["shots"]) / f"signed-{name}-{look}.png"), full_page=True)
        self.trouble[:] = [each for each in self.trouble if "401 (" not in each]  # the door answers with it
        page.context.close()

    def screens(self, look):
        page = self.open(look)
        for name, path in self.order["screens"].items():
            self.go(page, path)
            page.wait_for_timeout(100)
            self.judge(page, f"{look} {name}")
            if self.order.get("shots") and look not in ("dusk", "day"):
                page.screenshot(path=str(Path(self.order["shots"]) / f"{name}-{look}.png"), full_page=look != "desk" and name != "pipelines")
        page.context.close()

    def expect(self, page, what, script, argument=None, seconds=20):
        try:
            page.wait_for_function(script, arg=argument, timeout=seconds * 1000)
        except TooLong:
            self.trouble.append(f"never came true: {what}")

    def by_keys(self):
        """From the list to a log without a mouse."""
        page = self.open("desk")
        self.go(page, "/pipelines")
        rows = page.locator("tbody tr").count()
        page.keyboard.press("/")
        page.keyboard.type("tag:night")
        self.expect(page, "the filter in the address and fewer rows", "(rows) => location.search === '?q=tag%3Anight' && document.querySelectorAll('tbody tr').length < rows", rows)
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("k")
        page.keyboard.press("j")
        if page.evaluate("document.activeElement.textContent") != second:
            self.trouble.append("j and k do not move through the rows")
        page.keyboard.press("Enter")
        self.expect(page, "the pipeline that was chosen", "(name) => document.readyState === 'complete' && document.querySelector('h1').textContent === name", second)
        page.locator("a[data-x='5'][data-y='1']").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        self.expect(page, "the arrows move through the grid", "() => [document.activeElement.dataset.x, document.activeElement.dataset.y].join() === '6,2'")
        page.keyboard.press("Enter")
        self.expect(page, "the log behind the square", "() => location.pathname.includes('/steps/')")
        self.go(page, "/pipelines?q=tag:night")
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") != "jump":
            self.trouble.append("the first Tab does not offer the content")
        page.context.close()

    def late(self):
        """What was asked for before the filter is answered after it: the rows stay those of the filter."""
        page, held = self.open("desk"), []
        page.add_init_script("delete AbortSignal.timeout")  # however slow the machine is
        page.route("**/pipelines", lambda route: held.append(route) if "x-part" in route.request.headers else route.fallback())
        with page.expect_request(lambda request: "x-part" in request.headers):
            self.go(page, "/pipelines")
        rows = page.locator("tbody tr").count()
        page.keyboard.press("/")
        page.keyboard.type("tag:night")
        self.expect(page, "fewer rows though an answer is missing", "(rows) => document.querySelectorAll('tbody tr').length < rows", rows)
        with page.expect_response(lambda answer: "x-part" in answer.request.headers and "?" not in answer.url) as answer:
            held.pop().fallback()
        answer.value.finished()
        page.evaluate("new Promise((done) => setTimeout(done, 100))")  # the page reads it
        if page.locator("tbody tr").count() >= rows:
            self.trouble.append("a late answer brings back the rows that the filter took away")
        page.context.close()

    def living(self):
        """A run that goes on while one looks, its log, and a connection that is lost and comes back."""
        page, log = self.open("desk"), self.open("desk")
        self.go(page, self.order["live_run"])
        self.go(log, self.order["live_log"])
        self.expect(page, "the run is running", "() => document.querySelector('.head .s-running')")
        self.expect(log, "the first line of the log", "() => document.querySelector('.log').textContent.includes('before')")
        page.context.set_offline(True)
        self.expect(page, "the lost connection is said", "() => !document.querySelector('.lost').hidden")
        self.trouble[:] = [each for each in self.trouble if "ERR_INTERNET_DISCONNECTED" not in each]
        page.context.set_offline(False)
        self.expect(page, "and that it is back", "() => document.querySelector('.lost').hidden", seconds=60)
        self.trouble[:] = [each for each in self.trouble if "ERR_INTERNET_DISCONNECTED" not in each]
        Path(self.order["gate"]).touch()
        self.expect(log, "the last line of the log, by itself", "() => document.querySelector('.log').textContent.includes('after')")
        self.expect(page, "the end of the run, by itself", "() => document.querySelector('.head .s-success')", seconds=60)
        page.context.close()
        log.context.close()

    def dead(self):
        """The daemon is killed while one looks: the page says so, and heals when there is one again. Nothing of it looked well meanwhile."""
        page = self.open("desk")
        self.go(page, "/operations")
        self.expect(page, "a daemon that turns", "() => document.querySelector('.s-success')")
        os.kill(self.order["pid"], signal.SIGKILL)
        self.expect(page, "the lost daemon is said", "() => !document.querySelector('.lost').hidden && document.body.classList.contains('stale')", seconds=60)
        self.expect(page, "what is old is pale", "() => getComputedStyle(document.querySelector('#live')).opacity < .9")
        Path(self.order["again"]).touch()
        self.expect(page, "the new daemon, by itself", "(old) => document.querySelector('.lost').hidden && !document.querySelector('#live').textContent.includes(old)",
                    str(self.order["pid"]), seconds=120)
        self.trouble[:] = [each for each in self.trouble if "ERR_CONNECTION_REFUSED" not in each and "ERR_EMPTY_RESPONSE" not in each and "ERR_CONNECTION_RESET" not in each]
        page.context.close()

    def together(self):
        """The pointer on a step in one picture lights it in the others; the arrows lead into the last runs of a row."""
        page = self.open("desk")
        self.go(page, self.order["screens"]["run"])
        page.hover("tr[data-step] >> nth=0")
        self.expect(page, "one step lit in graph, time and table", "() => document.querySelectorAll('[data-step].on').length === 3")
        self.go(page, "/pipelines?q=tag:night")
        page.keyboard.press("j")
        page.keyboard.press("ArrowRight")
        if page.evaluate("document.activeElement.parentElement.className") != "ticks":
            self.trouble.append("the right arrow does not lead into the last runs")
        self.go(page, self.order["screens"]["pipeline"])
        stops = page.evaluate("document.querySelectorAll('.picture a[data-x]:not([tabindex])').length")
        if stops != 1:
            self.trouble.append(f"Tab stops {stops} times in the grid, not once")
        page.context.close()

    def language(self):
        page = self.open("desk")
        self.go(page, "/pipelines?only=failed")
        page.get_by_text("한국어").click()
        self.expect(page, "the same page in Korean", "() => document.documentElement.lang === 'ko' && location.search === '?only=failed'")
        page.context.close()


def main():
    order = json.loads(sys.argv[1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=order["chromium"], args=FLAGS)
        walk = Walk(browser, order)
        if order.get("signed"):
            for look in ("desk", "night", "phone"):
                walk.signed(look)
        else:
            for look in LOOKS:
                walk.screens(look)
            walk.by_keys()
            walk.late()
            walk.language()
            walk.together()
            walk.living()
            walk.dead()
        browser.close()
    print(json.dumps({"trouble": walk.trouble, **walk.seen}, ensure_ascii=False))


if __name__ == "__main__":
    main()
