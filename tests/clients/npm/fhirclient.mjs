// https://github.com/smart-on-fhir/client-js, as a backend uses it that has a token already.
import smart from "fhirclient";
import { base, organization, play, refusal, SYSTEM, token } from "./play.mjs";

const state = { serverUrl: base, tokenResponse: { access_token: token, patient: "zahra" } };
const client = smart({ headers: {} }, {}, {}).client(state);

async function life() {
  const { id } = await client.create(organization("North", "1"));
  const address = `Organization/${id}`;
  const read = await client.request(address);
  const updated = await client.update({ ...read, name: "South" });
  const patched = await client.patch(address, [{ op: "replace", path: "/name", value: "East" }]);
  const first = await client.request(`${address}/_history/1`);
  await client.delete(address);
  const history = await client.request(`${address}/_history`);
  const gone = await refusal(client.request(address));
  return {
    id,
    names: [read, updated, patched, first].map((resource) => resource.name),
    methods: history.entry.map((entry) => entry.request.method),
    gone: gone.status,
  };
}

async function search() {
  const { id } = await client.create(organization("North", "1"));
  const part = { ...organization("Part", "2"), partOf: { reference: `Organization/${id}` } };
  await client.create(part);
  const query = new URLSearchParams({ identifier: `${SYSTEM}|2` });
  const options = { flat: true, resolveReferences: ["partOf"], graph: true };
  const [found] = await client.request(`Organization?${query}`, options);
  const patient = await client.patient.read();
  const chart = await client.patient.request("Communication");
  return {
    part: found.name,
    whole: found.partOf.name,
    patient: patient.id,
    chart: chart.type,
    release: await client.getFhirRelease(),
  };
}

async function paging() {
  for (let n = 0; n < 7; n += 1) await client.create(organization(`North ${n}`, `${n}`));
  const address = "Organization?_sort=name&_count=3";
  const pages = [];
  for await (const page of client.pages(address)) {
    pages.push(page.entry.map((entry) => entry.resource.name));
  }
  const all = await client.request(address, { pageLimit: 0, flat: true });
  return { pages, all: all.map((resource) => resource.name) };
}

async function conditional() {
  const identifier = `identifier=${encodeURIComponent(`${SYSTEM}|1`)}`;
  const create = (prefer) => {
    const headers = { "if-none-exist": identifier, prefer };
    return client.create(organization("North", "1"), { headers });
  };
  // It fetches from Location what a creation's answer leaves out.
  const first = await create("return=minimal");
  const again = await create("return=representation");
  const method = "PUT";
  const body = JSON.stringify(organization("South", "1"));
  const headers = { "content-type": "application/json" };
  const put = await client.request({ url: `Organization?${identifier}`, method, body, headers });
  const stale = await refusal(client.update(put, { headers: { "if-match": 'W/"1"' } }));
  return {
    same: first.id === again.id && put.id === first.id,
    version: put.meta.versionId,
    stale: stale.status,
  };
}

async function refused() {
  const error = await refusal(client.create({ resourceType: "Organization", name: 1 }));
  return { status: error.status, message: error.message };
}

await play({ life, search, paging, conditional, refused });
