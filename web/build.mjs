// Builds the pages into src/openstreamer/control/pages/dist: two HTML files and everything they load, so
// that a browser needs no other host. Our own scripts and styles carry a hash in their names (they may be
// cached for ever); the Swagger UI files keep fixed names, because the server's OpenAPI page refers to them.
import { build } from "esbuild";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "src", "openstreamer", "control", "pages", "dist");
const staging = join(here, "build");
const assets = join(staging, "assets");
const require = createRequire(import.meta.url);
const packageDir = (name) => dirname(require.resolve(`${name}/package.json`));

/** Bundle every entry; returns a map from "start.js" to "start-ABCDEFGH.js". */
async function bundle() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: ["src/start/start.ts", "src/start/start.css", "src/play/play.ts", "src/play/play.css"],
    outdir: assets,
    outbase: "src",
    entryNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome100", "firefox100", "safari15"],
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  const names = new Map();
  for (const [path, output] of Object.entries(result.metafile.outputs)) {
    const entry = basename(output.entryPoint).replace(/\.ts$/, ".js");
    names.set(entry, basename(path));
  }
  return names;
}

/** Copy a page and put the hashed names in place of {{start.js}} and the like. */
async function page(name, names) {
  const source = await readFile(join(here, "src", name), "utf8");
  const html = source.replaceAll(/\{\{([a-z.]+)\}\}/g, (_, asset) => {
    const built = names.get(asset);
    if (built === undefined) throw new Error(`${name} wants ${asset}, which is not built`);
    return `/assets/${built}`;
  });
  await writeFile(join(staging, name), html);
}

async function thirdParty() {
  const swagger = packageDir("swagger-ui-dist");
  for (const file of ["swagger-ui-bundle.js", "swagger-ui.css"]) {
    await cp(join(swagger, file), join(assets, file));
  }
  await cp(join(here, "src", "swagger-init.js"), join(assets, "swagger-init.js"));
  await cp(join(here, "src", "favicon.svg"), join(assets, "favicon.svg"));
  const notices = [
    ["hls.js", join(packageDir("hls.js"), "LICENSE")],
    ["swagger-ui-dist", join(swagger, "NOTICE")],
    ["swagger-ui-dist", join(swagger, "LICENSE")],
  ];
  const texts = await Promise.all(
    notices.map(async ([name, path]) => `== ${name} ==\n\n${await readFile(path, "utf8")}`),
  );
  await writeFile(join(assets, "licenses.txt"), texts.join("\n\n"));
}

await rm(staging, { recursive: true, force: true });
await mkdir(assets, { recursive: true });
const names = await bundle();
for (const name of ["index.html", "play.html", "swagger.html"]) await page(name, names);
await thirdParty();
await mkdir(dirname(dist), { recursive: true });
await rm(dist, { recursive: true, force: true });
await rename(staging, dist);
