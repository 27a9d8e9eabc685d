/** DASHBOARD FILES: the page's files, by the path that a browser asks for: the whole list, so that whoever serves them never makes
 *  a path out of a request. Owns nothing. The files lie in `build/src/dashboard`, where `npm run build` puts them. */

export interface DashboardFile {
  /** Path of the request. */
  readonly path: string;
  /** Name below the folder of the page's files. */
  readonly file: string;
  readonly type: string;
}

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
} as const;

function dashboard(type: keyof typeof TYPES, ...names: readonly string[]): DashboardFile[] {
  return names.map((name) => ({ path: `/dashboard/${name}.${type}`, file: `${name}.${type}`, type: TYPES[type] }));
}

export const DASHBOARD_FILES: readonly DashboardFile[] = [
  { path: '/', file: 'index.html', type: TYPES.html },
  ...dashboard('css', 'style', 'uplot'),
  ...dashboard('svg', 'icon'),
  ...dashboard(
    'js',
    'main',
    'api',
    'pace',
    'state',
    'derive',
    'format',
    'words',
    'notices',
    'dom',
    'chart',
    'uplot',
    'dialogs',
  ),
  ...dashboard(
    'js',
    ...['notice', 'header', 'tiles', 'tunnels', 'forwards', 'workers', 'users', 'refusals', 'charts'].map(
      (name) => `views/${name}`,
    ),
  ),
];

/** Sent with every file. Nothing is loaded from elsewhere, no script or style stands in the page, no text can become markup
 *  (trusted types), nobody may frame it, and a new version of the server is a new page. */
export const DASHBOARD_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
};
