// SPDX-License-Identifier: Apache-2.0

// A SAML identity provider for tests, on samlify. It reads its configuration as JSON from standard
// input, one object a line; each line replaces the former one. It prints its port, and a line for
// each line that it has read. What a response says, and who signs it, is part of the
// configuration, so that tests can make it say wrong things.
//
//   entityID, portal (the URL of the portal's metadata), users (a map of names to attributes),
//   password, keys (a map of names to {key, cert} in PEM), published (names of keys in the metadata),
//   signer (a name of a key), signs ("assertion", "response", "both", "none"), algorithm (a URI),
//   claims (values of the response in place of the right ones)
"use strict";

const http = require("http");
const samlify = require("samlify");

console.warn = () => {}; // samlify's remarks on what this provider leaves out
samlify.setSchemaValidator({ validate: async () => "skipped" });
const { RSA_SHA256 } = samlify.Constants.algorithms.signature;
const redirect = samlify.Constants.namespace.binding.redirect;

let config = {};
let base = "";
const pending = new Map();

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function provider() {
  return samlify.IdentityProvider({
    entityID: config.entityID || base + "/metadata",
    privateKey: config.keys[config.signer].key,
    signingCert: config.published.map((name) => config.keys[name].cert),
    requestSignatureAlgorithm: config.algorithm || RSA_SHA256,
    singleSignOnService: [{ Binding: redirect, Location: base + "/sso" }],
    nameIDFormat: ["urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"],
  });
}

// signingProvider has only the signer's certificate: samlify puts it into the signature.
function signingProvider() {
  return samlify.IdentityProvider({
    entityID: config.entityID || base + "/metadata",
    privateKey: config.keys[config.signer].key,
    signingCert: config.keys[config.signer].cert,
    requestSignatureAlgorithm: config.algorithm || RSA_SHA256,
    singleSignOnService: [{ Binding: redirect, Location: base + "/sso" }],
  });
}

async function portal() {
  const metadata = await (await fetch(config.portal)).text();
  return samlify.ServiceProvider({ metadata });
}

const later = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();

function attributes(user) {
  const all = Object.entries(user).flatMap(([name, values]) => {
    const each = [].concat(values).map((v) => `<saml:AttributeValue xsi:type="xs:string">${escaped(v)}</saml:AttributeValue>`);
    return `<saml:Attribute Name="${escaped(name)}" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic">${each.join("")}</saml:Attribute>`;
  });
  return all.length ? `<saml:AttributeStatement>${all.join("")}</saml:AttributeStatement>` : "";
}

async function respond(request, name) {
  const sp = await portal();
  const consumer = sp.entityMeta.getAssertionConsumerService("post");
  const right = {
    ID: "_" + crypto.randomUUID(), AssertionID: "_" + crypto.randomUUID(), Issuer: provider().entityMeta.getEntityID(),
    Destination: consumer, Recipient: consumer, Audience: sp.entityMeta.getEntityID(), InResponseTo: request.id,
    IssueInstant: later(0), NotBefore: later(-5), NotOnOrAfter: later(300), StatusCode: "urn:oasis:names:tc:SAML:2.0:status:Success",
    NameID: name, NameIDFormat: "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified", Condition: "",
  };
  const { seconds = {}, ...claims } = config.claims || {};
  const c = { ...right, ...claims };
  for (const [name, value] of Object.entries(seconds)) c[name] = later(value);
  const e = Object.fromEntries(Object.entries(c).map(([k, v]) => [k, k === "Condition" || k === "RawNameID" ? v : escaped(v)]));
  const answers = e.InResponseTo ? ` InResponseTo="${e.InResponseTo}"` : "";
  const raw = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${e.ID}" Version="2.0" IssueInstant="${e.IssueInstant}" Destination="${e.Destination}"${answers}>` +
    `<saml:Issuer>${e.Issuer}</saml:Issuer><samlp:Status><samlp:StatusCode Value="${e.StatusCode}"/></samlp:Status>` +
    `<saml:Assertion xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${e.AssertionID}" Version="2.0" IssueInstant="${e.IssueInstant}"><saml:Issuer>${e.Issuer}</saml:Issuer>` +
    `<saml:Subject><saml:NameID Format="${e.NameIDFormat}">${e.RawNameID || e.NameID}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="${e.NotOnOrAfter}" Recipient="${e.Recipient}"${answers}/></saml:SubjectConfirmation></saml:Subject>` +
    `<saml:Conditions NotBefore="${e.NotBefore}" NotOnOrAfter="${e.NotOnOrAfter}"><saml:AudienceRestriction><saml:Audience>${e.Audience}</saml:Audience></saml:AudienceRestriction>${e.Condition}</saml:Conditions>` +
    `<saml:AuthnStatement AuthnInstant="${e.IssueInstant}" SessionIndex="${e.AssertionID}"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>` +
    `${attributes(config.users[name] || {})}</saml:Assertion></samlp:Response>`;
  const signs = config.signs || "assertion";
  let context = Buffer.from(raw).toString("base64");
  if (signs !== "none") {
    const metadata = sp.getMetadata().replace('WantAssertionsSigned="true"', `WantAssertionsSigned="${signs !== "response"}"`);
    const target = samlify.ServiceProvider({ metadata, wantMessageSigned: signs !== "assertion" });
    const made = await signingProvider().createLoginResponse(target, null, "post", {}, { customTagReplacement: () => ({ id: c.ID, context: raw }) });
    context = made.context;
  }
  return `<!doctype html><title>Signed in</title><form method="post" action="${escaped(consumer)}">` +
    `<input type="hidden" name="SAMLResponse" value="${context}"><input type="hidden" name="RelayState" value="${escaped(request.relayState)}">` +
    `<button>Continue to the application</button></form><script>document.forms[0].submit()</script>`;
}

async function serve(req, body) {
  const url = new URL(req.url, base);
  switch (`${req.method} ${url.pathname}`) {
    case "GET /favicon.ico": // browsers ask for it
      return "";
    case "GET /metadata":
      return provider().getMetadata();
    case "GET /sso": {
      const query = Object.fromEntries(url.searchParams);
      const { extract } = await provider().parseLoginRequest(await portal(), "redirect", { query });
      const id = crypto.randomUUID();
      pending.set(id, { id: extract.request.id, relayState: query.RelayState });
      return `<!doctype html><title>Sign in</title><form method="post" action="/login"><input type="hidden" name="id" value="${id}">` +
        `<label>User name <input name="username"></label><label>Password <input name="password" type="password"></label><button>Sign in</button></form>`;
    }
    case "POST /login": {
      const form = new URLSearchParams(body);
      const request = pending.get(form.get("id"));
      if (!request || form.get("password") !== config.password || !(form.get("username") in config.users)) throw new Error("User name or password is wrong");
      pending.delete(form.get("id"));
      return respond(request, form.get("username"));
    }
  }
  throw new Error("There is no such page");
}

const server = http.createServer((req, res) => {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", () => {
    serve(req, Buffer.concat(parts).toString()).then(
      (text) => res.writeHead(200, { "Content-Type": text.startsWith("<!doctype html>") ? "text/html" : "application/samlmetadata+xml" }).end(text),
      (err) => res.writeHead(400, { "Content-Type": "text/plain" }).end(String(err.stack || err)),
    );
  });
});

server.listen(0, "127.0.0.1", () => {
  base = `http://127.0.0.1:${server.address().port}`;
  console.log(server.address().port);
  require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
    config = JSON.parse(line);
    console.log("configured");
  }).on("close", () => process.exit(0)); // the test has ended
});
