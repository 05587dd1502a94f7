import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// A server to develop against: FIRMLIGHT_SERVER=http://127.0.0.1:8080 npx vite
const server = process.env.FIRMLIGHT_SERVER ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // those that know light-dark(): its replacement does not see Mantine's schemes
    assetsInlineLimit: 0, // the content security policy knows no data: scripts
    modulePreload: { polyfill: false }, // which would be an inline script
    reportCompressedSize: false,
    manifest: true, // for the size budget
  },
  server: { proxy: { "/api": { target: server, ws: true } } },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
