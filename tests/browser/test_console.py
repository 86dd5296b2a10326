"""What a person does at the console, by clicking and by keyboard, and what must not happen."""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

from selenium.webdriver.common.keys import Keys
from support import box
from support.box_provider import CLIENT_ID, CLIENT_SECRET, ORGANIZATION, USER, VIEWER, Api, http
from support.load import Load
from support.receiver import Rule
from support.stack import KEY, feed, signed_ok
from support.wait import until

HOSTILE = "<img src=x onerror=\"window.planted=1\"><script>window.planted=1</script>'&"


def hosts_of(browser) -> set[str]:
    """Every host and port that the browser has asked, but for what never leaves it."""
    browser.collect()
    return {urlsplit(url).netloc for url in browser.requests if url.startswith(("http", "ws"))}


def make_instance(site, name: str = "docs", **more) -> dict:
    made = site.api.create(site.provider, site.receiver.url("/events"), KEY, name=name, **more)
    assert made.status == 200, made
    return made.json


def test_the_tour_by_clicking(site, browser, tmp_path) -> None:
    wrong: list[str] = []
    browser.open(site.url)
    browser.sees("Sign in to eventrelay")
    wrong += browser.judge_all("sign-in")
    browser.fill("User secret", USER)
    browser.fill("Organization secret", "wrong")
    browser.click("Sign in")
    browser.sees("no user and organization have these two secrets")
    browser.fill("User secret", USER)
    browser.fill("Organization secret", ORGANIZATION)
    browser.click("Sign in")
    browser.sees("There is no instance yet")
    wrong += browser.judge_all("instances-empty")

    # An instance, by way of the provider and back.
    browser.click("Create an instance")
    browser.fill("Name", "docs")
    browser.fill("Tags", "Docs, Second")
    browser.fill("Event Notification Callback URL", site.receiver.url("/events"))
    browser.fill("Callback Notification Signature Key", KEY)
    browser.fill("OAuth API Key", CLIENT_ID)
    browser.fill("OAuth API Secret", CLIENT_SECRET)
    wrong += browser.judge_all("new-instance")
    browser.click("Go on to Box")
    browser.click("Grant access to Box")
    browser.sees("is made")
    assert "code=" not in browser.driver.current_url
    wrong += browser.judge_all("token")
    browser.click("I have it")
    browser.sees("Callback Notification Signature Key")
    wrong += browser.judge_all("instance")
    number = int(browser.driver.current_url.rsplit("/", 1)[1])
    assert site.api.call("GET", f"/instances/{number}").json["tags"] == ["Docs", "Second"]
    assert CLIENT_SECRET not in browser.driver.page_source

    # A webhook, and the event that it brings.
    browser.click("Webhooks")
    browser.click("Create a webhook")
    browser.fill("Id of the file or folder", "1000")
    wrong += browser.judge_all("new-webhook")
    browser.click("Create")
    browser.sees("The webhook is made")
    wrong += browser.judge_all("webhooks")
    site.provider.post("upload", name="a.txt", parent="1000")
    site.receiver.wait_for(1, 30)
    assert signed_ok(site.receiver.deliveries()[0])
    browser.click("Events")
    browser.sees("Delivered", 20)
    site.provider.post("upload", name=HOSTILE, parent="1000")
    browser.sees("2 shown", 20)  # by itself
    wrong += browser.judge_all("events")
    browser.find("//tbody//a").click()
    browser.sees("Delivered at the first attempt")
    browser.sees("onerror")
    wrong += browser.judge_all("event")

    # Off, on, another key, another token, gone.
    browser.open(f"{site.url}#/instances/{number}")
    browser.click("Switch off")
    browser.sees("The instance is off")
    browser.click("Switch on")
    browser.sees("The instance is on")
    browser.click("Rotate the signature key")
    browser.fill("New key", "another-key-of-the-receiver")
    browser.fill("Former key", KEY)
    browser.click("Use the new key")
    browser.sees("signed with the new key")
    browser.click("New token")
    browser.click("Make a new token")
    browser.sees("The new token")
    browser.click("I have it")
    browser.click("Delete")
    browser.fill("Type its name", "doc")
    browser.click("Delete for good")
    browser.sees("that is not its name")
    wrong += browser.judge_all("delete")
    browser.fill("Type its name", "docs")
    browser.click("Delete for good")
    browser.sees("There is no instance yet")
    assert site.api.call("GET", f"/instances/{number}").status == 404
    browser.click("Sign out")
    browser.sees("You are signed out")

    assert not wrong, "\n".join(wrong)
    admin, provider = f"127.0.0.1:{site.admin}", f"127.0.0.1:{site.provider.port}"
    assert hosts_of(browser) <= {admin, provider}
    storage = browser.driver.execute_script(
        "return [localStorage.length, sessionStorage.length, document.cookie]"
    )
    assert storage == [0, 0, ""]
    secrets = [ORGANIZATION, USER, CLIENT_SECRET, KEY]
    assert not [url for url in browser.requests for secret in secrets if secret in url]
    refused = [line for line in browser.console if "Content Security Policy" in line]
    assert not refused, refused


def test_the_tour_by_keyboard(site, browser) -> None:
    browser.open(site.url)
    browser.sees("Sign in to eventrelay")
    assert browser.focused() == "User secret"
    browser.keys(USER, Keys.TAB, ORGANIZATION, Keys.ENTER)
    browser.sees("There is no instance yet")
    browser.tab_to("Create an instance")
    browser.keys(Keys.ENTER)
    browser.sees("Access to the provider")
    assert browser.focused() == "Create an instance"  # the heading of the page
    browser.type_into("Name", "by keys")
    browser.type_into("Event Notification Callback URL", site.receiver.url("/events"))
    browser.type_into("OAuth API Key", CLIENT_ID)
    browser.type_into("OAuth API Secret", CLIENT_SECRET)
    browser.tab_to("Go on to Box")
    browser.keys(Keys.ENTER)
    browser.sees("This is a stand-in of Box")
    browser.tab_to("Grant access to Box")
    browser.keys(Keys.ENTER)
    browser.sees("is made")
    browser.tab_to("I have it")
    browser.keys(Keys.ENTER)
    browser.tab_to("Webhooks")
    browser.keys(Keys.ENTER)
    browser.sees("There is no webhook yet")
    browser.tab_to("Create a webhook")
    browser.keys(Keys.ENTER)
    browser.type_into("Id of the file or folder", "1000")
    browser.tab_to("Create")
    browser.keys(Keys.ENTER)
    browser.sees("The webhook is made")
    assert browser.focused() == "Create a webhook"  # where the dialog was opened
    site.provider.post("upload", name="a.txt", parent="1000")
    browser.tab_to("Events")
    browser.keys(Keys.ENTER)
    browser.sees("Delivered", 30)
    browser.tab_to("Instances")
    browser.keys(Keys.ENTER)
    browser.tab_to("by keys")
    browser.keys(Keys.ENTER)
    browser.sees("For the provider")
    browser.tab_to("Delete")
    browser.keys(Keys.ENTER)
    browser.keys(Keys.ESCAPE)
    browser.eventually(lambda: browser.focused() == "Delete", 5, "the focus is back")
    browser.keys(Keys.ENTER)
    browser.type_into("Type its name", "by keys")
    browser.keys(Keys.ENTER)
    browser.sees("There is no instance yet")


FATAL = 418


def test_endpoints_and_dead_letters_by_clicking(site, browser) -> None:
    wrong: list[str] = []
    site.receiver.answer("/dead", Rule(status=FATAL))
    site.receiver.answer("/fails", Rule(status=503))
    final = {"delivery": {"fatal_statuses": [FATAL]}}
    good = make_instance(site, "works")
    dead = site.api.create(
        site.provider, site.receiver.url("/dead"), KEY, name="gives up", **final
    ).json
    off = site.api.create(
        site.provider,
        site.receiver.url("/fails"),
        KEY,
        name="is off",
        delivery={"failure_policy": "queue"},
    ).json
    port = site.ingest.port
    for place, number in enumerate((good["id"], dead["id"], off["id"])):
        _, load = feed(port, 5, number, first=place * 5)
        load.finish(30)
    site.sign_in(browser)
    browser.click("Overview")
    browser.sees("15", 30)  # came in
    browser.sees("Failed attempts")
    wrong += browser.judge_all("overview")
    browser.click("The last hour in numbers")
    browser.sees("By minute, newest first")
    wrong += browser.judge_all("overview-numbers")

    browser.click("Endpoints")
    browser.sees("answered 5xx", 30)
    browser.choose("Which", "Those with trouble")
    browser.sees("is off")
    wrong += browser.judge_all("endpoints")
    site.receiver.answer("/fails", Rule(status=200))
    browser.click(f"Switch on {off['id']}")
    browser.sees("what waited goes out now")
    until(lambda: len(delivered_to(site, "/fails")) == 5, 30, "what waited is delivered")
    browser.choose("Which", "All")
    browser.click(f"Switch off {good['id']}")
    browser.sees("its events wait until it is on again")
    browser.click(f"Switch on {good['id']}")
    browser.sees("what waited goes out now")

    browser.click("Dead letters of gives up")
    browser.sees("after 1 attempt", 30)
    browser.sees("5 shown")
    wrong += browser.judge_all("dead-letters")
    site.receiver.answer("/dead", Rule(status=200))
    # A choice of three.
    for box_ in browser.all("//tbody//input[@type='checkbox']")[:3]:
        box_.click()
    browser.click("Send 3 chosen again")
    browser.click("Count first")
    browser.sees("3 would be sent", 30)
    assert delivered_to(site, "/dead") == []
    wrong += browser.judge_all("send-dead-again")
    browser.click("Send 3 again")
    browser.sees("Done: 3 sent", 30)
    until(lambda: len(delivered_to(site, "/dead")) == 3, 30, "three are sent again")
    browser.click("Close")

    def told() -> bool:
        browser.click("Look again")
        return len(browser.all("//tbody//span[normalize-space(.)='Delivered']")) == 3

    browser.eventually(told, 30, "three are told as delivered")
    # The rest of it at once.
    browser.click("Choose all shown")
    browser.click("Send 2 chosen again")
    browser.click("Count first")
    browser.click("Send 2 again")
    browser.sees("Done: 2 sent", 30)
    until(lambda: len(delivered_to(site, "/dead")) == 5, 30, "all were sent")
    assert len(set(delivered_to(site, "/dead"))) == 5
    assert not wrong, "\n".join(wrong)
    assert hosts_of(browser) <= {f"127.0.0.1:{site.admin}"}


def delivered_to(site, path: str) -> list[str]:
    """The ids of the events that the receiver has taken there."""
    return [
        each.headers["elements-webhook-id"]
        for each in site.receiver.deliveries()
        if each.path == path and each.status == 200
    ]


def test_endpoints_and_dead_letters_by_keyboard(site, browser) -> None:
    site.receiver.answer("/dead", Rule(status=FATAL))
    made = make_instance(site, "by keys", delivery={"fatal_statuses": [FATAL]})
    bad = site.api.create(
        site.provider,
        site.receiver.url("/dead"),
        KEY,
        name="gives up",
        delivery={"fatal_statuses": [FATAL]},
    ).json
    _, load = feed(site.ingest.port, 2, bad["id"])
    load.finish(30)
    browser.open(site.url)
    browser.sees("Sign in to eventrelay")
    browser.keys(USER, Keys.TAB, ORGANIZATION, Keys.ENTER)
    browser.sees("Sign out")
    browser.tab_to("Overview")
    browser.keys(Keys.ENTER)
    browser.sees("Not yet taken up", 30)
    assert browser.focused() == "Overview"
    browser.tab_to("Endpoints")
    browser.keys(Keys.ENTER)
    browser.sees("by keys", 30)
    browser.tab_to(f"Switch off {made['id']}")
    browser.keys(Keys.ENTER)
    browser.sees("its events wait until it is on again")
    browser.tab_to(f"Switch on {made['id']}")
    browser.keys(Keys.ENTER)
    browser.sees("what waited goes out now")
    browser.tab_to("Dead letters")
    browser.keys(Keys.ENTER)
    browser.sees("after 1 attempt", 30)
    site.receiver.answer("/dead", Rule(status=200))
    browser.tab_to("Choose all shown")
    browser.keys(Keys.ENTER)
    browser.tab_to("Send 2 chosen again")
    browser.keys(Keys.ENTER)
    browser.tab_to("Count first")
    browser.keys(Keys.ENTER)
    browser.sees("2 would be sent", 30)
    assert browser.focused() == "Send 2 again"
    browser.keys(Keys.ENTER)
    browser.sees("Done: 2 sent", 30)
    browser.keys(Keys.ESCAPE)
    until(lambda: len(delivered_to(site, "/dead")) == 2, 30, "both are sent again")


def hostile_event(number: int) -> bytes:
    """An event whose every text is hostile."""
    event = json.loads(box.body(number, "FILE.UPLOADED", HOSTILE))
    event["source"]["name"] = event["source"]["description"] = HOSTILE
    event["created_by"]["name"] = event["created_by"]["login"] = HOSTILE
    return json.dumps(event).encode()


def test_hostile_texts_are_texts(site, browser) -> None:
    site.receiver.answer("/events", Rule(status=FATAL))
    made = make_instance(
        site,
        name=HOSTILE,
        tags=[HOSTILE],
        configuration={HOSTILE[:60]: HOSTILE, "events.list.ids": HOSTILE},
        delivery={"fatal_statuses": [FATAL], "headers": {"X-More": HOSTILE}},
        subscriptions=[
            {"name": "audit", "url": site.receiver.url("/audit/%3Cimg%20onerror=x%3E?a='&b")}
        ],
    )
    number = made["id"]
    load = Load(site.ingest.port, [box.v2_request(number, hostile_event(1))])
    load.start()
    load.finish(30)
    until(lambda: site.receiver.count() >= 2, 30, "the event was tried")
    own = f"/instances/{number}/events"
    event = until(lambda: site.api.call("GET", own).json, 30, "it is told")
    site.sign_in(browser)
    wrong = []
    for name, page, shown in (
        ("instances", "#/instances", "onerror="),
        ("instance", f"#/instances/{number}", "onerror="),
        ("webhooks", f"#/instances/{number}/webhooks", "Webhooks"),
        ("events", "#/events", "onerror="),
        ("event", f"#/events/{number}/{event[0]['id']}", "onerror="),
        ("overview", "#/overview", "Came in"),
        ("endpoints", "#/endpoints", "onerror="),
        ("dead", "#/dead", "onerror="),
    ):
        browser.open(site.url + page)
        browser.sees(shown, 30)
        wrong += browser.judge_all(f"hostile-{name}")
        planted = browser.driver.execute_script(
            "return [window.planted ?? null, document.querySelectorAll('main img').length,"
            " document.querySelectorAll('main script').length]"
        )
        assert planted == [None, 0, 0]
    assert not wrong, "\n".join(wrong)


def test_what_goes_wrong_is_said(site, browser) -> None:
    made = make_instance(site)
    site.sign_in(browser)
    # Another tab has deleted it.
    browser.click("docs")
    browser.sees("For the provider")
    assert site.api.call("DELETE", f"/instances/{made['id']}").status == 200
    browser.click("Switch off")
    browser.sees("It is not there")
    # A value that the service refuses.
    browser.open(site.url + "#/instances/new")
    browser.fill("Name", "x")
    browser.choose("Element", "GitHub")
    browser.fill("Event Notification Callback URL", "ftp://example.com/")
    browser.click("Create")
    browser.sees("configuration.event.notification.callback.url")
    browser.sees("nothing was changed")
    # The provider says no.
    browser.choose("Element", "Box")
    browser.fill("Event Notification Callback URL", site.receiver.url("/e"))
    browser.fill("OAuth API Key", CLIENT_ID)
    browser.fill("OAuth API Secret", "wrong-client-secret")
    browser.click("Go on to Box")
    browser.click("Grant access to Box")
    browser.sees("The client credentials are invalid")
    assert site.api.call("GET", "/instances").json == []
    # The tab stays open over a restart.
    assert site.ingest.end()[0] == 0
    browser.click("Events")
    browser.sees("does not answer")
    site.start_ingest()
    browser.click("Instances")
    browser.sees("The session is over")
    browser.screenshot("session-over")
    browser.fill("User secret", USER)
    browser.fill("Organization secret", ORGANIZATION)
    browser.click("Sign in")
    browser.sees("There is no instance yet")


def test_kafka_away_and_the_session_gone(own_site, browser) -> None:
    site = own_site
    made = make_instance(site)
    site.sign_in(browser)
    browser.click("docs")
    browser.sees("For the provider")
    site.stack.broker.pause()
    # A change that Kafka may have taken is awaited; a question of the history is not.
    browser.click("Switch off")
    browser.open(site.url + "#/events")
    browser.sees("Not now", 30)
    wrong = browser.judge_all("kafka-away")
    browser.open(site.url + "#/overview")
    browser.sees("Not now", 30)
    site.stack.broker.resume()
    browser.sees("Came in", 60)  # by itself
    # The switch is done now, or was refused; then another one is taken, not half of each.
    own = f"/instances/{made['id']}"
    until(lambda: site.api.call("PUT", own + "/enabled").status == 200, 130, "it can be changed")
    assert site.api.call("GET", own).json["disabled"] is False
    # The session is ended elsewhere.
    browser.driver.delete_all_cookies()
    browser.click("Endpoints")
    browser.sees("The session is over")
    wrong += browser.judge_all("session-over")
    browser.fill("User secret", USER)
    browser.fill("Organization secret", ORGANIZATION)
    browser.click("Sign in")
    browser.sees("Endpoints of this account", 30)  # where it was left
    assert not wrong, "\n".join(wrong)


def test_the_page_stays_live_and_light_at_a_thousand_events_a_second(site, browser) -> None:
    made = make_instance(site)
    site.sign_in(browser)
    browser.click("Events")
    browser.sees("There was no event in the last 24 hours")
    browser.driver.execute_script(
        "window.longest = 0; new PerformanceObserver((list) => { for (const task of"
        " list.getEntries()) window.longest = Math.max(window.longest, task.duration); })"
        ".observe({entryTypes: ['longtask']})"
    )
    bodies = [box.body(number) for number in range(8000)]
    load = Load(site.ingest.port, [box.v2_request(made["id"], raw) for raw in bodies], rate=1000)
    load.start()
    browser.sees("More events come than are shown here", 30)
    begin = time.monotonic()
    browser.click("Pause")
    browser.sees("Go on")
    assert time.monotonic() - begin < 3  # it answers while all that goes on
    browser.click("Go on")
    load.finish(60)
    assert set(load.statuses()) == {202}
    newest = json.loads(bodies[-1])["source"]["id"]
    browser.sees(newest, 30)
    rows = len(browser.all("//tbody/tr"))
    longest, heap = browser.driver.execute_script(
        "return [window.longest, performance.memory.usedJSHeapSize]"
    )
    assert rows <= 200, rows
    assert longest < 2000 and heap < 64 << 20, (longest, heap)
    print(f"{rows} rows, longest task {longest:.0f} ms, heap {heap >> 20} MiB")
    site.receiver.wait_for(len(bodies), 60)


def test_a_viewer_may_only_look(site, browser) -> None:
    make_instance(site)
    browser.open(site.url)
    browser.fill("User secret", VIEWER)
    browser.fill("Organization secret", ORGANIZATION)
    browser.click("Sign in")
    browser.sees("may only read")
    browser.click("docs")
    browser.sees("Configuration")
    assert not browser.all("//button[normalize-space(.)='Delete']")


def test_what_the_service_sends_with_a_page(site) -> None:
    base = f"http://127.0.0.1:{site.admin}"
    page = http("GET", site.url)
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'none'", "frame-ancestors 'none'", "script-src 'self'"):
        assert part in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert http("GET", base + "/console/nothing.js").status == 404
    signed = http(
        "POST", base + "/console/session", {"user": USER, "organization": ORGANIZATION}
    )
    assert signed.status == 200, signed
    cookie = signed.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    session = {"Cookie": cookie.split(";")[0]}
    listed = http("GET", base + "/elements/api-v2/instances", headers=session)
    assert listed.status == 200 and listed.headers["Cache-Control"] == "no-store"
    # A cookie alone changes nothing, whoever has made the browser send it.
    bare = http("POST", base + "/elements/api-v2/instances", {}, session)
    assert bare.status == 403 and "Eventrelay-Console" in bare.json["message"]
    foreign = {**session, "Origin": "http://evil.example", "Eventrelay-Console": "1"}
    assert http("POST", base + "/elements/api-v2/instances", {}, foreign).status == 403
    assert http("GET", base + "/console/session", headers=session).status == 200
    assert http("DELETE", base + "/console/session", headers=session).status == 200
    assert http("GET", base + "/elements/api-v2/instances", headers=session).status == 401
    assert Api(site.admin).call("GET", "/instances").status == 200


def test_wrong_secrets_are_slowed_down(site) -> None:
    begin = time.monotonic()
    wrong = {"user": USER, "organization": "nothing"}
    answer = http("POST", f"http://127.0.0.1:{site.admin}/console/session", wrong)
    assert answer.status == 401 and time.monotonic() - begin >= 0.9
    until(lambda: site.ingest.alive(), 1, "it lives")
