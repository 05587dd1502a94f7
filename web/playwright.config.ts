import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  workers: 2, // each with servers of its own
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  projects: [
    { name: "pages", testIgnore: /speed/ },
    { name: "speed", testMatch: /speed/, dependencies: ["pages"], workers: 1 }, // alone, as it measures
  ],
  use: {
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
    locale: "en-GB",
    reducedMotion: "reduce",
    actionTimeout: 15_000,
  },
});
