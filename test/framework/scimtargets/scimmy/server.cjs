// A SCIM server of SCIMMY and its routers over a store in memory, as their documentation shows it. User names and names of groups are
// unique. It ends when its standard input does, and prints its URL.
const {randomUUID} = require("node:crypto");
const express = require("express");
const unwrap = (module) => module.default ?? module;
const SCIMMY = unwrap(require("scimmy"));
const SCIMMYRouters = unwrap(require("scimmy-routers"));

function declare(type, unique) {
    const store = new Map();
    SCIMMY.Resources.declare(type, {
        ingress: (resource, data) => {
            const id = resource.id ?? randomUUID();
            if (resource.id && !store.has(id)) throw new SCIMMY.Types.Error(404, null, "not found");
            const kept = {...JSON.parse(JSON.stringify(data)), id};
            for (const other of store.values()) {
                if (other.id !== id && other[unique].toLowerCase() === kept[unique].toLowerCase()) throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} is taken`);
            }
            store.set(id, kept);
            return kept;
        },
        egress: (resource) => {
            if (!resource.id) return resource.filter ? resource.filter.match([...store.values()]) : [...store.values()];
            if (!store.has(resource.id)) throw new SCIMMY.Types.Error(404, null, "not found");
            return store.get(resource.id);
        },
        degress: (resource) => {
            if (!store.delete(resource.id)) throw new SCIMMY.Types.Error(404, null, "not found");
        },
    });
}

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
declare(SCIMMY.Resources.User, "userName");
declare(SCIMMY.Resources.Group, "displayName");

const app = express();
app.use("/scim", new SCIMMYRouters({
    type: "bearer",
    handler: (request) => {
        if (request.headers.authorization !== `Bearer ${process.argv[2]}`) throw new Error("the token is not known");
        return "test";
    },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/scim`));
process.stdin.resume();
process.stdin.on("end", () => process.exit());
