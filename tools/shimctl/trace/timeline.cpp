#include "tools/shimctl/trace/timeline.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "pkcs11/names.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::size_t kMostCalls = 50'000;  // more would make a page that no browser likes

constexpr char kHead[] = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>PKCS#11 timeline</title><style>
body{font:14px system-ui,sans-serif;margin:1em;color:#222;background:#fff}
canvas{width:100%;border:1px solid #ccc;cursor:grab}table{border-collapse:collapse;margin:1em 0}
td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
#tip{min-height:1.4em;font-family:monospace}.bad{color:#b00}
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}td,th,canvas{border-color:#444}}
</style></head><body><h1 id="title"></h1><p id="sum"></p>
<p>Wheel: zoom. Drag: move. Double click: everything. Failed calls are red.</p>
<canvas id="c"></canvas><p id="tip"></p><table id="f"></table><table id="e"></table>
<script>const D=)";

constexpr char kScript[] = R"(;
const $=i=>document.getElementById(i),c=$('c'),g=c.getContext('2d'),R=26,L=180;
const ms=n=>n>=1e9?(n/1e9).toFixed(2)+' s':n>=1e6?(n/1e6).toFixed(2)+' ms':n>=1e3?(n/1e3).toFixed(1)+' µs':n+' ns';
$('title').textContent=D.title;$('sum').textContent=D.summary;
const row=(t,cells,tag,bad)=>{const r=t.insertRow();for(const x of cells){const d=document.createElement(tag);d.textContent=x;if(bad)d.className='bad';r.append(d)}};
row($('f'),['Function','Calls','Failed','Sum','P50','P90','P99','Max'],'th');
for(const f of D.functions)row($('f'),[f[0],f[1],f[2],...f.slice(3).map(ms)],'td',f[2]>0);
if(D.errors.length){row($('e'),['Function','Return code','Count'],'th');for(const e of D.errors)row($('e'),e,'td',true)}
let end=1;for(const x of D.calls)end=Math.max(end,x[1]+x[2]);
let from=0,to=end,drag=null;
const colour=i=>'hsl('+(i*47%360)+',55%,55%)';
function draw(){const w=c.clientWidth,h=Math.max(1,D.threads.length)*R+24,p=devicePixelRatio||1;c.width=w*p;c.height=h*p;c.style.height=h+'px';
g.setTransform(p,0,0,p,0,0);g.clearRect(0,0,w,h);const s=(w-L)/(to-from);g.font='12px system-ui';
const ink=getComputedStyle(document.body).color;
for(const x of D.calls){const a=L+(x[1]-from)*s,b=Math.max(1,x[2]*s);if(a+b<L||a>w)continue;
g.fillStyle=x[4]?'#d22':colour(x[3]);g.fillRect(Math.max(a,L),x[0]*R+3,Math.min(a+b,w)-Math.max(a,L),R-6);
if(b>70){g.fillStyle='#fff';g.fillText(D.names[x[3]],Math.max(a,L)+4,x[0]*R+17,b-8)}}
g.fillStyle=ink;D.threads.forEach((t,i)=>g.fillText(t,2,i*R+17,L-6));
for(let i=0;i<=4;i++){g.fillText(ms(Math.round(from+(to-from)*i/4)),Math.min(L+(w-L)*i/4,w-60),h-6)}}
const at=e=>from+(e.offsetX-L)/(c.clientWidth-L)*(to-from);
c.onwheel=e=>{e.preventDefault();const t=at(e),k=e.deltaY>0?1.25:.8;from=Math.max(0,t-(t-from)*k);to=Math.min(end,Math.max(from+100,t+(to-t)*k));draw()};
c.onmousedown=e=>drag=[e.offsetX,from,to];onmouseup=()=>drag=null;c.ondblclick=()=>{from=0;to=end;draw()};
c.onmousemove=e=>{if(drag){const d=(drag[0]-e.offsetX)/(c.clientWidth-L)*(drag[2]-drag[1]);const k=Math.max(-drag[1],Math.min(d,end-drag[2]));from=drag[1]+k;to=drag[2]+k;draw();return}
const t=at(e),r=Math.floor(e.offsetY/R),slack=(to-from)/(c.clientWidth-L)*2;let f=null;
for(const x of D.calls)if(x[0]===r&&x[1]-slack<=t&&t<=x[1]+x[2]+slack&&(!f||x[2]>f[2]))f=x;
$('tip').textContent=f?D.names[f[3]]+' '+ms(f[2])+' at '+ms(f[1])+(f[5]?' '+f[5]:'')+(f[4]?' '+f[4]:''):''};
onresize=draw;draw();
</script></body></html>
)";

// Inside a script element: nothing may end it.
std::string script_text(const json& data) {
  const std::string text = data.dump(-1, ' ', true, json::error_handler_t::replace);
  std::string safe;
  for (const char c : text) safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return safe;
}

// The slowest, if there are too many.
std::vector<const RecordedCall*> shown(const Recording& recording) {
  std::vector<const RecordedCall*> calls;
  for (const RecordedCall& call : recording.calls) calls.push_back(&call);
  if (calls.size() <= kMostCalls) return calls;
  std::nth_element(calls.begin(), calls.begin() + kMostCalls, calls.end(),
                   [](const RecordedCall* a, const RecordedCall* b) { return a->took_ns > b->took_ns; });
  calls.resize(kMostCalls);
  return calls;
}

}  // namespace

std::string timeline_html(const Recording& recording, const Analysis& analysis, const std::string& title) {
  std::map<std::string, std::size_t> names;
  json calls = json::array(), name_list = json::array(), functions = json::array(), errors = json::array();
  const std::int64_t begin = recording.calls.empty() ? 0 : recording.calls.front().began_ns;
  for (const RecordedCall* call : shown(recording)) {
    const auto [name, fresh] = names.emplace(call->function, names.size());
    if (fresh) name_list.push_back(call->function);
    calls.push_back({call->thread, call->began_ns - begin, call->took_ns, name->second,
                     is_failure(call->rv) ? json(display(NameKind::ckr, call->rv)) : json(0),
                     call->mechanism ? json(display(NameKind::ckm, *call->mechanism)) : json(0)});
  }
  for (const FunctionSummary& each : analysis.functions)
    functions.push_back({each.function, each.took.count, each.failed, each.took.sum, each.took.p50, each.took.p90,
                         each.took.p99, each.took.max});
  for (const ErrorSummary& each : analysis.errors)
    errors.push_back({each.function, display(NameKind::ckr, each.rv), each.count});
  std::string summary = std::to_string(analysis.calls) + " calls, " + std::to_string(analysis.failed) + " failed";
  if (!recording.measured()) summary += "; durations are at most: until the next call begins";
  if (analysis.calls > kMostCalls) summary += "; the timeline shows the slowest " + std::to_string(kMostCalls);
  const json data{{"title", title},     {"summary", summary}, {"threads", recording.threads},
                  {"names", name_list}, {"calls", calls},     {"functions", functions},
                  {"errors", errors}};
  return kHead + script_text(data) + kScript;
}

}  // namespace p11shim
