/* Colours, style sheet and hover script of charts. Scales are drawn in OKLCH, where equal steps
 * look equal, once for a light page and once for a dark one, and written as sRGB variables:
 * --c0..  categories, --d0.. depth or time (blue to orange), --h0.. density. */
#include "train/plot.h"

#include <math.h>
#include <string.h>

static const char *const light_hues[WEFT_PLOT_HUES] = {"#1d6fb8", "#cf4452", "#23885c", "#b8720a",
                                                       "#7a55b0", "#0b8a99", "#a8487d", "#66707c"};
static const char *const dark_hues[WEFT_PLOT_HUES] = {"#6db3f2", "#ff8a8f", "#62cf9b", "#f2b04e",
                                                      "#bd9df2", "#56cbd8", "#ea90bd", "#a4adb8"};

/* OKLCH to sRGB (B. Ottosson, "A perceptual color space for image processing", 2020). */
static unsigned oklch(double lightness, double chroma, double degrees) {
    const double hue = degrees * 0.017453292519943295;
    const double a = chroma * cos(hue), b = chroma * sin(hue);
    const double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
    const double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
    const double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
    const double linear[3] = {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                              -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                              -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
    unsigned rgb = 0;
    for (int i = 0; i < 3; i++) {
        const double x = fmin(fmax(linear[i], 0), 1);
        const double gamma = x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055;
        rgb = rgb << 8 | (unsigned)lround(255 * gamma);
    }
    return rgb;
}

static void variables(FILE *out, bool dark) {
    for (int i = 0; i < WEFT_PLOT_HUES; i++)
        fprintf(out, "--c%d:%s;", i, dark ? dark_hues[i] : light_hues[i]);
    for (int i = 0; i < WEFT_PLOT_DEPTHS; i++) {
        const double t = (double)i / (WEFT_PLOT_DEPTHS - 1);
        fprintf(out, "--d%d:#%06x;", i,
                oklch((dark ? 0.60 : 0.42) + 0.24 * t, 0.14, 275 - 225 * t));
    }
    for (int i = 0; i < WEFT_PLOT_HEAT; i++) {
        const double t = (double)i / (WEFT_PLOT_HEAT - 1);
        fprintf(out, "--h%d:#%06x;", i,
                dark ? oklch(0.27 + 0.63 * t, 0.05 + 0.09 * t, 265 - 170 * t)
                     : oklch(0.95 - 0.60 * t, 0.03 + 0.10 * t, 215 + 55 * t));
    }
}

struct weft_plot_color weft_plot_depth(size_t layer, size_t layers) {
    const size_t last = WEFT_PLOT_DEPTHS - 1;
    const size_t index =
        layers > 1 ? (2 * layer * last + layers - 1) / (2 * (layers - 1)) : last / 2;
    return (struct weft_plot_color){WEFT_COLOR_DEPTH, index > last ? last : index};
}

const char *weft_plot_color_name(struct weft_plot_color color) {
    static const char *const hue[WEFT_PLOT_HUES] = {"--c0", "--c1", "--c2", "--c3",
                                                    "--c4", "--c5", "--c6", "--c7"};
    static const char *const depth[WEFT_PLOT_DEPTHS] = {
        "--d0",  "--d1",  "--d2",  "--d3",  "--d4",  "--d5",  "--d6",  "--d7",
        "--d8",  "--d9",  "--d10", "--d11", "--d12", "--d13", "--d14", "--d15",
        "--d16", "--d17", "--d18", "--d19", "--d20", "--d21", "--d22", "--d23"};
    if (color.kind == WEFT_COLOR_HUE) return hue[color.index % WEFT_PLOT_HUES];
    if (color.kind == WEFT_COLOR_DEPTH) return depth[color.index % WEFT_PLOT_DEPTHS];
    return "--soft";
}

const char *weft_plot_hex(size_t i, char buf[8]) {
    memcpy(buf, light_hues[i % WEFT_PLOT_HUES], 8);
    return buf;
}

void weft_plot_colors(FILE *out) {
    fputs(":root{color-scheme:light dark;--page:#fcfcfb;--card:#fff;--ink:#1d2126;--soft:#606a75;"
          "--line:#dfe2e6;--grid:#eceef0;",
          out);
    variables(out, false);
    fputs("}\n@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1a1e23;--ink:#e4e7ea;"
          "--soft:#9aa4af;--line:#343b44;--grid:#262c33;",
          out);
    variables(out, true);
    fputs("}}\n", out);
}

void weft_plot_style(FILE *out) {
    weft_plot_colors(out);
    fputs("figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;"
          "padding:12px 12px 6px;display:flex;flex-direction:column;min-width:0}\n"
          "figure.w2{grid-column:span 2}figure.w3{grid-column:1/-1}\n"
          "figcaption{line-height:1.35}figcaption span{color:var(--soft);font-size:12.5px;"
          "margin-left:4px}\n"
          ".legend{min-height:22px;font-size:12px;color:var(--soft);display:flex;flex-wrap:wrap;"
          "gap:2px 14px;align-items:center;margin:2px 0 4px}\n"
          ".key{display:inline-flex;align-items:center;gap:5px;white-space:nowrap}\n"
          ".bar{display:inline-flex}.bar i{width:5px;height:10px}\n"
          ".chip{width:18px;height:0;border-top:2.5px solid var(--k)}.chip.f{opacity:.45;"
          "border-top-width:1.5px}.chip.d{border-top-style:dashed}\n"
          ".chip.o{border:0;height:8px;width:8px;border-radius:4px;background:var(--k)}"
          ".chip.t{border:0;border-left:2px solid var(--k);height:9px;width:3px}\n"
          "svg.plot{width:100%;height:auto;margin-top:auto;overflow:visible}\n"
          "svg text{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}\n"
          ".x text{text-anchor:middle}.y text{text-anchor:end}.y text.name{text-anchor:start}\n"
          ".x path,.y path{stroke:var(--grid);fill:none}.frame{fill:none;stroke:var(--line)}\n"
          ".area path{fill:none;stroke-linejoin:round}.area .line{stroke-width:1.7}"
          ".area .faint{stroke-width:1;opacity:.35}.area .dash{stroke-dasharray:5 4}\n"
          ".area .dots{stroke-width:6;stroke-linecap:round}.area .tick{stroke-width:1;opacity:.8}\n"
          ".area .rule{stroke-width:1.2;stroke-dasharray:2 "
          "3}text.rule{text-anchor:end;paint-order:stroke;stroke:var(--card);stroke-width:4px}\n"
          ".area .heat{stroke:none;shape-rendering:crispEdges}.area .cursor{stroke:var(--soft)}\n"
          ".empty{color:var(--soft);text-align:center;margin:auto;padding:70px 0}\n"
          "#tip{position:fixed;pointer-events:none;background:var(--card);border:1px solid "
          "var(--line);border-radius:6px;padding:6px 9px;font-size:12px;line-height:1.5;"
          "box-shadow:0 2px 10px #0003;font-variant-numeric:tabular-nums}\n"
          "#tip b{font-weight:600}#tip i{display:inline-block;width:9px;height:9px;"
          "border-radius:2px;margin-right:6px}\n",
          out);
}

void weft_plot_script(FILE *out) {
    fputs("'use strict';\n"
          "const tip=document.createElement('div');tip.id='tip';tip.hidden=true;"
          "document.body.append(tip);\n"
          "const num=v=>{const a=Math.abs(v);return a>=1e6?(v/1e6).toPrecision(4)+'M':"
          "a>=1e4?(v/1e3).toPrecision(4)+'k':a>0&&a<1e-3?v.toExponential(2):"
          "String(+v.toPrecision(4))};\n"
          "const axis=(s,size)=>{const [lo,hi,log]=s.split(' ').map(Number);return p=>{"
          "const t=p/size;return log?lo*Math.pow(hi/lo,t):lo+t*(hi-lo)}};\n"
          "for(const area of document.querySelectorAll('svg.area')){\n"
          " const w=+area.getAttribute('width'),h=+area.getAttribute('height');\n"
          " const fx=axis(area.dataset.x,w),fy=axis(area.dataset.y,h);let lines=null,cursor=null;\n"
          " const leave=()=>{tip.hidden=true;if(cursor)cursor.style.display='none'};\n"
          " const move=e=>{\n"
          "  lines=lines||[...area.querySelectorAll('path[data-l]:not(.tick)')].map(p=>({label:"
          "p.dataset.l,color:p.style.stroke,at:p.getAttribute('d').slice(1).split(/[ML]/)"
          ".map(q=>q.split(',').map(Number))})).filter(l=>l.at[0].length==2);\n"
          "  if(!lines.length)return;\n"
          "  const box=area.parentNode.getScreenCTM(),x=(e.clientX-box.e)/box.a-"
          "area.getAttribute('x'),y=(e.clientY-box.f)/box.d-area.getAttribute('y');\n"
          "  const near=lines.map(l=>({l,p:l.at.reduce((a,b)=>Math.abs(b[0]-x)<Math.abs(a[0]-x)"
          "?b:a)})).filter(n=>Math.abs(n.p[0]-x)<w/20).sort((a,b)=>Math.abs(a.p[1]-y)-"
          "Math.abs(b.p[1]-y)).slice(0,12).sort((a,b)=>a.p[1]-b.p[1]);\n"
          "  if(!near.length)return leave();\n"
          "  const px=near[0].p[0];\n"
          "  if(!cursor){cursor=document.createElementNS('http://www.w3.org/2000/svg','path');"
          "cursor.setAttribute('class','cursor');area.append(cursor)}\n"
          "  cursor.setAttribute('d',`M${px},0v${h}`);cursor.style.display='';\n"
          "  tip.innerHTML='';const head=document.createElement('b');"
          "head.textContent=area.dataset.name+' '+num(+fx(px).toPrecision(6));tip.append(head);\n"
          "  for(const n of near){const row=document.createElement('div'),c=document"
          ".createElement('i');c.style.background=n.l.color;row.append(c,n.l.label+'  '+"
          "num(fy(h-n.p[1])));tip.append(row)}\n"
          "  tip.hidden=false;const r=tip.getBoundingClientRect();\n"
          "  tip.style.left=Math.min(e.clientX+16,innerWidth-r.width-8)+'px';"
          "tip.style.top=Math.max(8,Math.min(e.clientY-r.height/2,innerHeight-r.height-8))+'px'};\n"
          " const over=area.parentNode;over.addEventListener('pointermove',move);"
          "over.addEventListener('pointerleave',leave)}\n",
          out);
}
