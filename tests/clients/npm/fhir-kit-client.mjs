// https://github.com/Vermonster/fhir-kit-client
import { Client } from "fhir-kit-client";
import { base, organization, play, refusal, SYSTEM, token } from "./play.mjs";

const client = new Client({ baseUrl: base, bearerToken: token });
const type = "Organization";

async function made(name, number) {
  return client.create({ resourceType: type, body: organization(name, number) });
}

async function life() {
  const { id } = await made("North", "1");
  const at = { resourceType: type, id };
  const read = await client.read(at);
  const updated = await client.update({ ...at, body: { ...read, name: "South" } });
  const jsonPatch = [{ op: "replace", path: "/name", value: "East" }];
  const patched = await client.patch({ ...at, jsonPatch });
  const first = await client.vread({ ...at, version: "1" });
  const { response } = Client.httpFor(patched);
  await client.delete(at);
  const history = await client.resourceHistory(at);
  const gone = await refusal(client.read(at));
  return {
    id,
    names: [read, updated, patched, first].map((resource) => resource.name),
    etag: response.headers.get("etag"),
    methods: history.entry.map((entry) => entry.request.method),
    gone: gone.response.status,
  };
}

async function search() {
  const { id } = await made("North", "1|2,3");
  const ask = (searchParams, options) =>
    client.search({ resourceType: type, searchParams, options });
  const searches = [
    { identifier: `${SYSTEM}|1\\|2\\,3` },
    { "name:exact": "North" },
    { name: "nothing,nor" },
    { _id: id, _elements: "name" },
  ];
  const bundles = [];
  for (const one of searches) {
    bundles.push(await ask(one), await ask(one, { postSearch: true }));
  }
  const compartment = { resourceType: "Patient", id: "zahra" };
  const chart = await client.search({ resourceType: "Communication", compartment });
  return {
    id,
    found: bundles.map((bundle) => bundle.entry.map((entry) => entry.resource.id)),
    modes: [...new Set(bundles.flatMap((bundle) => bundle.entry.map((e) => e.search.mode)))],
    chart: chart.type,
  };
}

async function paging() {
  for (let n = 0; n < 7; n += 1) await made(`North ${n}`, `${n}`);
  const searchParams = { _sort: "name", _count: 3 };
  const pages = [];
  let bundle = await client.search({ resourceType: type, searchParams });
  while (bundle) {
    pages.push(bundle.entry.map((entry) => entry.resource.name));
    bundle = await client.nextPage({ bundle });
  }
  return pages;
}

async function conditional() {
  const identifier = `${SYSTEM}|1`;
  const options = { headers: { "If-None-Exist": `identifier=${identifier}` } };
  const create = () =>
    client.create({ resourceType: type, body: organization("North", "1"), options });
  const first = await create();
  const again = await create();
  const body = organization("South", "1");
  const put = await client.update({ resourceType: type, searchParams: { identifier }, body });
  const late = { headers: { "If-Match": 'W/"1"' } };
  const stale = await refusal(client.update({ resourceType: type, id: first.id, body, options: late }));
  return {
    same: first.id === again.id && put.id === first.id,
    statuses: [first, again, put].map((each) => Client.httpFor(each).response.status),
    version: put.meta.versionId,
    stale: stale.response.status,
  };
}

async function refused() {
  const broken = { resourceType: "Organization", name: 1 };
  const error = await refusal(client.create({ resourceType: type, body: broken }));
  const statement = await client.capabilityStatement();
  const input = { resourceType: "Parameters", parameter: [{ name: "resource", resource: broken }] };
  const validated = await client.operation({ name: "validate", resourceType: type, input });
  return {
    status: error.response.status,
    outcome: error.response.data,
    fhirVersion: statement.fhirVersion,
    validated: validated.issue[0].severity,
  };
}

await play({ life, search, paging, conditional, refused });
