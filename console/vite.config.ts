import { defineConfig } from "vite";

// One script and one stylesheet with fixed names: the same source always gives the same bytes, and the gateway serves a
// fixed list of files.
export default defineConfig({
  base: "/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    outDir: "../src/pointsman/admin/console",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    rollupOptions: {
      output: {
        entryFileNames: "console.js",
        assetFileNames: "console[extname]",
        inlineDynamicImports: true,
      },
    },
  },
  // `npm run dev` shows the source beside a running gateway.
  server: { host: "127.0.0.1", proxy: { "/api": "http://127.0.0.1:8081", "/metrics": "http://127.0.0.1:8081" } },
});
