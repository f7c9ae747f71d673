// A SCIM server of SCIMMY and its routers over a store in memory, as their documentation shows it: egress returns one resource, or all
// that the filter matches, and SCIMMY sorts and pages. Reads the people, one JSON object a line, from the file named on the command line; prints its URL.
import {randomUUID} from "node:crypto";
import {readFileSync} from "node:fs";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const stores = {users: new Map(), groups: new Map()};
for (const line of readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean)) {
    const user = JSON.parse(line);
    stores.users.set(user.id, user);
}

// declare gives a resource type its store.
function declare(type, store) {
    SCIMMY.Resources.declare(type, {
        ingress: (resource, data) => {
            const id = resource.id ?? randomUUID();
            const kept = {...JSON.parse(JSON.stringify(data)), id};
            store.set(id, kept);
            return kept;
        },
        egress: (resource) => {
            if (!resource.id) return resource.filter ? resource.filter.match([...store.values()]) : [...store.values()];
            if (!store.has(resource.id)) throw new SCIMMY.Types.Error(404, null, "not found");
            return store.get(resource.id);
        },
        degress: (resource) => { store.delete(resource.id); },
    });
}

declare(SCIMMY.Resources.User, stores.users);
SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
declare(SCIMMY.Resources.Group, stores.groups);

const app = express();
app.use("/scim", new SCIMMYRouters({type: "bearer", handler: () => "bench"}));
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/scim`));
