// Plays the scenario that the command line names, and prints what came of it as JSON. The server's
// FHIR address and a token come by environment.

export const base = process.env.FHIR_BASE;
export const token = process.env.FHIR_TOKEN;
export const SYSTEM = "https://example.org/mrn";

export function organization(name, number) {
  return { resourceType: "Organization", name, identifier: [{ system: SYSTEM, value: number }] };
}

export async function play(scenarios) {
  const found = await scenarios[process.argv[2]]();
  console.log(JSON.stringify(found));
}

/** What a call that is to be refused throws. */
export async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}
