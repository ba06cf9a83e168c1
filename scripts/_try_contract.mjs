// Run an Express app that checks each request and response against the contract, send it `requests`, and read the
// same file with the tools of Postman and ReadMe. Called by scripts/_try_contract.py.
import { dereference } from "@readme/openapi-parser";
import express from "express";
import * as validator from "express-openapi-validator";
import { readFileSync } from "node:fs";
import postman from "openapi-to-postmanv2";

const { requests, stream, agent } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const file = process.argv[3];

const app = express();
app.use(express.json());
app.use(validator.middleware({ apiSpec: file, validateRequests: true, validateResponses: true }));
app.post("/chat/completions", (_, response) => response.type("text/event-stream").send(stream));
app.post("/agents/:agent_id/duplicate", (_, response) => response.json(agent));
app.use((error, _request, response, _next) => response.status(error.status ?? 500).json(error.errors ?? `${error}`));

async function send(url, [path, body]) {
  const headers = { authorization: "any-key", ...(body ? { "content-type": "application/json" } : {}) };
  const response = await fetch(url + path, { method: "POST", headers, body: body && JSON.stringify(body) });
  return [response.status, await response.text()];
}

function postmanRequests(items) {
  return items.flatMap((item) => item.item ? postmanRequests(item.item) : [item.request.body?.raw ?? null]);
}

const options = { requestParametersResolution: "Example" };
const collection = await new Promise((resolve, reject) => postman.convert(
  { type: "string", data: readFileSync(file, "utf8") }, options,
  (error, made) => error || !made.result ? reject(error ?? new Error(made.reason)) : resolve(made.output[0].data)));
const { paths } = await dereference(file);
const media = paths["/chat/completions"].post.responses["200"].content["text/event-stream"];

const server = app.listen(0, async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const responses = [];
  for (const request of requests) responses.push(await send(url, request));
  console.log(JSON.stringify({ responses, postman: postmanRequests(collection.item), example: media.examples.stream.value }));
  server.close();
});
