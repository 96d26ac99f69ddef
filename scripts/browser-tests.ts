/**
 * Runs the tests of the tensor and autograd packages, and of what of MERT browsers have, in Chromium: the same modules that run
 * in Node, bundled, each in a page and with a GPU device of its own; they find data/ under its own name. Ends with the line `browser: N passed, N failed`. Names of files as arguments
 * run only those: npm run test:browser -- ops golden
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { build } from 'esbuild';
import type { Browser } from 'playwright-core';
import { findChromium, launchChromium } from './chromium.ts';

/** Fewer draws than in Node: the properties are the same, and shaders compile slowly on a software adapter. */
const RUNS = '2';
const FILE_TIMEOUT_MS = 240_000;

/** Tests of files, processes and Node's heap stay in Node. */
const needsNode = (file: string) => /['"](node:|vite['"]|esbuild['"]|\.\/run-module)/.test(readFileSync(file, 'utf8'));
/**
 * So do those that take minutes on a software adapter and hold nothing that a browser could do differently, and the one
 * that looks for file names in stack traces, which a bundle does not have.
 */
const inNodeAlone =
  /(hardware-variants|hardware-attention|attention-broadcast|workgroup|rows|conv-variants|residual-codes|grids|fuzz|long-run|rules-recomputed|anomaly)\.test\.ts$/;

const only = process.argv.slice(2);
const everywhere = ['packages/tensor/test', 'packages/autograd/test'].flatMap((folder) =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(folder, file))
    .filter((file) => !inNodeAlone.test(file) && !needsNode(file)),
);
const files = ['packages/mert/test/browser.test.ts', ...everywhere].filter(
  (file) => only.length === 0 || only.some((word) => basename(file).startsWith(word)),
);

async function bundle(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: 'esnext',
    write: false,
    logLevel: 'error',
    // Packages say that their modules have no side effects; those of tests open devices.
    ignoreAnnotations: true,
    define: { 'process.env': JSON.stringify({ FAST_CHECK_RUNS: RUNS, ONLY: process.env.ONLY }) },
  });
  return outputFiles[0].text;
}

interface Outcome {
  passed: number;
  failed: number;
}

/** WebGPU is there in secure contexts only, which localhost is; nothing is asked of the network. */
const ORIGIN = 'http://localhost';

async function run(browser: Browser, file: string): Promise<Outcome> {
  const code = await bundle(file);
  const page = await browser.newPage();
  let text = '';
  const ended = new Promise<string>((resolve) => {
    page.on('console', (message) => {
      text += `${stripVTControlCharacters(message.text())}\n`;
      // uvu's last line.
      if (/Duration:/.test(message.text())) resolve('');
    });
    page.on('pageerror', (error) => resolve(`${error.stack ?? error}`));
    page.on('crash', () => resolve('the page crashed'));
    setTimeout(() => resolve(`no end after ${FILE_TIMEOUT_MS / 1000} s`), FILE_TIMEOUT_MS).unref();
  });
  await page.route('**/*', (route) => {
    const { pathname } = new URL(route.request().url());
    // Under the test's name, which stack traces then show.
    if (pathname === `/${file}`) return route.fulfill({ contentType: 'text/javascript', body: code });
    if (pathname.startsWith('/data/') && existsSync(pathname.slice(1)))
      return route.fulfill({ path: pathname.slice(1) });
    const body = pathname === '/' ? `<!doctype html><script type="module" src="/${file}"></script>` : '';
    return route.fulfill({ contentType: 'text/html', body });
  });
  await page.goto(`${ORIGIN}/`);
  const problem = await ended;
  await page.close();
  const count = (label: string) => Number(new RegExp(`${label}:\\s+(\\d+)`).exec(text)?.[1] ?? 0);
  const passed = count('Passed');
  const failed = Math.max(
    // Tests that are skipped are not in uvu's total.
    count('Total') - passed,
    problem || count('Total') + count('Skipped') === 0 ? 1 : 0,
  );
  if (failed > 0) console.log(`${text}${problem}`);
  return { passed, failed };
}

const path = findChromium();
if (!path) {
  console.log('browser: NOT RUN, no Chromium was found; install one (apt-get install chromium) or set CHROMIUM_PATH');
  process.exit(process.argv.includes('--required') ? 1 : 0);
}
/** Browsers at a time: all pages of one share the process that compiles their shaders. */
const browsers = await Promise.all(
  Array.from({ length: Math.min(2, availableParallelism()) }, () => launchChromium(path)),
);
try {
  console.log(`Chromium ${browsers[0].version()} at ${path}`);
  const total: Outcome = { passed: 0, failed: 0 };
  const waiting = [...files];
  const runWaiting = async (browser: Browser) => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      const start = performance.now();
      const { passed, failed } = await run(browser, file);
      console.log(
        `${file}: ${passed} passed, ${failed} failed in ${((performance.now() - start) / 1000).toFixed(1)} s`,
      );
      total.passed += passed;
      total.failed += failed;
    }
  };
  await Promise.all(browsers.map(runWaiting));
  console.log(`browser: ${total.passed} passed, ${total.failed} failed`);
  if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
}
