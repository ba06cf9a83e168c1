// Use the page of tests/recipes/relay.py in a real browser, as a person would. Called by scripts/_try_relay.py.
import puppeteer from "puppeteer-core";

const [url, executablePath] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
const seen = { errors: [] };
page.on("pageerror", (error) => seen.errors.push(error.message));

const last = (selector) => page.$$eval(selector, (found) => found.at(-1)?.textContent);
const shows = (selector, text) => page.waitForFunction(
  (selector, text) => [...document.querySelectorAll(selector)].at(-1)?.textContent.includes(text), {}, selector, text);
const ready = () => page.waitForFunction(() => !document.querySelector("form").hidden);
async function send(text) {
  await page.$eval("input", (input) => { input.value = ""; });
  await page.type("input", text);
  await page.click("form button");
}

await page.goto(url);
await send("Hello");
await ready();
seen.reply = await last(".agent");

await send("count without end");
await shows(".agent", "1 2 ");  // the page shows the text while the reply continues
await page.click("#stop");
await ready();
seen.stopped = [await last(".agent"), await last(".note")];

await send("history");
await ready();
seen.history = await last(".agent");

await send("break");
await ready();
seen.broken = [await last(".agent"), await last(".note")];

await send("refuse the next one");
await ready();
await send("this one");
await ready();
seen.refused = await last(".note");

await browser.close();
console.log(JSON.stringify(seen));
