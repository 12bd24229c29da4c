// Batches and transactions by both clients.
import { Client } from "fhir-kit-client";
import smart from "fhirclient";
import { base, organization, play, refusal, token } from "./play.mjs";

const kit = new Client({ baseUrl: base, bearerToken: token });
const state = { serverUrl: base, tokenResponse: { access_token: token } };
const client = smart({ headers: {} }, {}, {}).client(state);
const headers = { "content-type": "application/fhir+json" };
const post = (bundle) =>
  client.request({ url: "/", method: "POST", headers, body: JSON.stringify(bundle) });

function batch() {
  return {
    resourceType: "Bundle",
    type: "batch",
    entry: [
      { resource: organization("North", "1"), request: { method: "POST", url: "Organization" } },
      { request: { method: "GET", url: "Patient/zahra" } },
      { request: { method: "GET", url: "Patient/nobody" } },
    ],
  };
}

function transaction(reference = "urn:uuid:6f3c1f0e-6d3e-4f8e-9d0a-2f0f5f3b9c11") {
  const whole = "urn:uuid:6f3c1f0e-6d3e-4f8e-9d0a-2f0f5f3b9c11";
  const request = { method: "POST", url: "Organization" };
  const part = { ...organization("Part", "2"), partOf: { reference } };
  return {
    resourceType: "Bundle",
    type: "transaction",
    entry: [
      { fullUrl: "urn:uuid:0d5b0a7e-33a3-4b7e-8a4e-0a3c4d0f6a55", resource: part, request },
      { fullUrl: whole, resource: organization("Whole", "1"), request },
    ],
  };
}

function broken() {
  const bundle = transaction();
  bundle.entry[1].resource.colour = "red";
  return bundle;
}

async function byKit() {
  const error = await refusal(kit.transaction({ body: broken() }));
  return {
    batch: await kit.batch({ body: batch() }),
    transaction: await kit.transaction({ body: transaction() }),
    refused: error.response.status,
  };
}

async function bySmart() {
  const error = await refusal(post(broken()));
  return {
    batch: await post(batch()),
    transaction: await post(transaction()),
    refused: error.status,
  };
}

await play({ byKit, bySmart });
