import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const platform = 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/console/',
  plugins: [react()],
  build: {
    // The first browsers with light-dark(): older ones would get a polyfill that doubles the colours.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // The platform serves the page with `default-src 'self'`: nothing may be inlined as a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/sutaz': platform, '/v1': platform },
  },
});
