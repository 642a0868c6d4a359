"""What becomes of every key of the standards' schemas and of ours; it must not know any file.

A clause is written as the path of its key: `contract.schema[].properties[].required`. Columns within columns count as
columns. `*.tags` is a key that means the same wherever it stands, with all below it. A custom property is written
`product.customProperties[tier]`. Of a clause that stands for several keys (a rule, an SLA, a role), the whole counts
once and its keys are parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENFORCED = "enforced"
MONITORED = "monitored"
DECLARED = "declared-only"

_KINDS = {"promise", "identity", "text", "structure", "part"}


@dataclass(frozen=True, slots=True)
class Clause:
    """What becomes of one key: its `state`, its `kind` and `by` what.

    Only a `promise` counts: `identity` and `structure` are validated when files load, `text` describes and promises
    nothing, and a `part` belongs to a promise that counts as a whole. `by` tells what enforces or monitors it, or
    why nothing does.
    """

    state: str
    kind: str
    by: str

    @property
    def informative(self) -> bool:
        """Whether it makes no promise of its own, so that it neither counts nor needs a waiver."""
        return self.kind != "promise"


# state | kind | by | keys, where {a,b} stands for either
_ROWS = r"""
E | identity | the standard's schema, chosen by it | {contract,product}.{apiVersion,kind}
E | identity | unique in the project; ports name it | contract.id
E | identity | input ports rely on it | contract.version
E | identity | must be that of the product | contract.domain
D | identity | the folder's address is what products go by | product.id
E | identity | must be that of the folder | product.{name,domain}
E | identity | part of the address and of releases | product.version
E | identity | one of five words; active has requirements of its own | product.status
E | identity | one of five words; the product's status is what counts | contract.status
E | promise | rules of the layer when files load | product.type
D | text | a title | contract.{name,tenant,dataProduct,contractCreatedTs}
D | text | a title | product.{tenant,productCreatedTs}
E | text | needed to load, placeholders refused | product.description.purpose
D | text | prose | product.description.{limitations,usage}
D | text | prose; the product's purpose is what is needed | contract.description.{purpose,limitations,usage}
E | structure | its keys are listed one by one | {contract,product}.description
E | structure | its keys are listed one by one | contract.{schema,servers,slaProperties}
E | structure | its keys are listed one by one | contract.schema[].{properties,quality,relationships}
E | structure | its keys are listed one by one | contract.schema[].properties[].{properties,items,map,map.key,map.value}
E | structure | its keys are listed one by one | contract.schema[].properties[].{quality,relationships}
E | structure | its keys are listed one by one | contract.schema[].properties[].logicalTypeOptions
E | structure | its keys are listed one by one | product.{inputPorts,outputPorts,team,team.members}
D | text | links and words for readers | *.{tags,authoritativeDefinitions,synonyms,context}
D | identity | a handle for tools | *.id
D | promise | of somebody else's making: nothing here reads it | *.customProperties
E | structure | its names are listed one by one | {product,contract.schema[]}.customProperties
E | structure | its names are listed one by one | contract.schema[].properties[].customProperties
E | structure | its names are listed one by one | contract.{servers[],slaProperties[]}.customProperties
E | structure | its names are listed one by one | contract.schema[].{,properties[].}quality[].customProperties
E | identity | must be the file's name | contract.schema[].name
D | text | prose | contract.schema[].{description,businessName,dataGranularityDescription}
D | text | a hint at where tables of other systems lie | contract.schema[].{logicalType,physicalType,physicalName}
D | promise | nothing warns who reads it | contract.schema[].{,properties[].}deprecated
E | promise | the rule `schema`: names | contract.schema[].properties[].name
E | promise | the rule `schema`: types | contract.schema[].properties[].{logicalType,physicalType}
E | promise | the rule `<column>.required` | contract.schema[].properties[].required
E | promise | the rule `<column>.unique` | contract.schema[].properties[].unique
E | promise | the rule `primary_key` | contract.schema[].properties[].primaryKey
E | part | the order of the key's columns | contract.schema[].properties[].primaryKeyPosition
E | promise | samples and quarantine reports mask classified columns | contract.schema[].properties[].classification
E | promise | its rules are of high criticality | contract.schema[].properties[].criticalDataElement
E | promise | the rule `<column>.enum` | contract.schema[].properties[].enum
E | part | the rule `<column>.enum` | contract.schema[].properties[].enum[].value
D | text | words for a value | contract.schema[].properties[].enum[].{label,description}
E | text | needed for active: the glossary term | contract.schema[].properties[].businessName
E | text | needed for active, placeholders refused | contract.schema[].properties[].description
E | text | needed for active | contract.schema[].properties[].examples
D | text | names and hints of other systems | contract.schema[].properties[].{physicalName,semanticType}
D | text | prose; lineage is read from the transform | contract.schema[].properties[].transform{SourceObjects,Logic}
D | text | prose; lineage is read from the transform | contract.schema[].properties[].transformDescription
D | promise | nothing encrypts | contract.schema[].properties[].encryptedName
D | promise | partitions are declared by the custom property `partition` | contract.schema[].properties[].partitioned
D | part | belongs to `partitioned` | contract.schema[].properties[].partitionKeyPosition
E | promise | the rule `<column>.range` | contract.schema[].properties[].logicalTypeOptions.{minimum,maximum}
E | promise | the rule `<column>.range` | contract.schema[].properties[].logicalTypeOptions.exclusive{Minimum,Maximum}
E | promise | the rule `<column>.length` | contract.schema[].properties[].logicalTypeOptions.{minLength,maxLength}
E | promise | the rule `<column>.length` | contract.schema[].properties[].logicalTypeOptions.{minItems,maxItems}
E | promise | the rule `<column>.pattern` | contract.schema[].properties[].logicalTypeOptions.pattern
E | promise | the rule `<column>.multiple_of` | contract.schema[].properties[].logicalTypeOptions.multipleOf
D | promise | a layout of text that no rule knows | contract.schema[].properties[].logicalTypeOptions.format
E | promise | the rule `schema`: types | contract.schema[].properties[].logicalTypeOptions.timezone
E | promise | the rule `<column>.length` | contract.schema[].properties[].logicalTypeOptions.dimensions
E | promise | the rule `schema`: types | contract.schema[].properties[].logicalTypeOptions.elementType
E | promise | the rule `<column>.fields` | contract.schema[].properties[].logicalTypeOptions.minProperties
E | promise | the rule `<column>.fields` | contract.schema[].properties[].logicalTypeOptions.maxProperties
E | promise | the rule `<column>.required_fields` | contract.schema[].properties[].logicalTypeOptions.required
E | promise | the rule `<column>.unique_items` | contract.schema[].properties[].logicalTypeOptions.uniqueItems
E | promise | the rule `<column>.normalized` | contract.schema[].properties[].logicalTypeOptions.normalized
D | promise | values carry their own zone or none | contract.schema[].properties[].logicalTypeOptions.defaultTimezone
D | text | how vectors are made | contract.schema[].properties[].logicalTypeOptions.{distanceMetric,embeddingModel}
D | text | how vectors are made | contract.schema[].properties[].logicalTypeOptions.embeddingModelVersion
E | promise | a rule of the gate | contract.schema[].{,properties[].}quality[]
E | part | of a rule | contract.schema[].{,properties[].}quality[].{type,metric,rule,arguments,query,engine}
E | part | of a rule | contract.schema[].{,properties[].}quality[].implementation
E | part | of a rule | contract.schema[].{,properties[].}quality[].{name,severity,unit,dimension}
E | part | of a rule | contract.schema[].{,properties[].}quality[].mustBe{,GreaterThan,GreaterOrEqualTo,LessThan}
E | part | of a rule | contract.schema[].{,properties[].}quality[].mustBe{LessOrEqualTo,Between}
E | part | of a rule | contract.schema[].{,properties[].}quality[].mustNotBe{,Between}
D | text | prose | contract.schema[].{,properties[].}quality[].{description,businessImpact,method}
E | part | judged at every refresh, and no row changes in between | contract.schema[].{,properties[].}quality[].schedule
D | text | nobody else has to start the rule | contract.schema[].{,properties[].}quality[].scheduler
E | promise | a foreign key of the gate | contract.schema[].{,properties[].}relationships[]
E | part | of a relationship | contract.schema[].{,properties[].}relationships[].{from,to,type}
E | identity | the name that transforms read | contract.servers[].server
E | promise | how the source is read | contract.servers[].{type,path,format,delimiter,encoding}
D | text | prose; environments are wired in resources | contract.servers[].{description,environment}
D | promise | such servers cannot be read | contract.servers[].{account,catalog,catalogUrl,database,dataset}
D | promise | such servers cannot be read | contract.servers[].{endpointUrl,host}
D | promise | such servers cannot be read | contract.servers[].{location,namespace,port,project,region,regionName}
D | promise | such servers cannot be read | contract.servers[].schema
D | promise | such servers cannot be read | contract.servers[].{serviceName,stagingDir,stream,warehouse,workgroup}
D | promise | nothing measures it | contract.slaProperties[]
D | promise | nothing probes ports yet: its objective is unmeasured | contract.slaProperties[availability]
M | promise | the objective `<table>.time_to_detect` | contract.slaProperties[timeToDetect]
M | promise | the objective `<table>.time_to_notify` | contract.slaProperties[timeToNotify]
M | promise | the objective `<table>.time_to_repair` | contract.slaProperties[timeToRepair]
E | promise | the rule `<column>.freshness`; the schedule is held to it | contract.slaProperties[latency]
E | promise | the rule `<column>.freshness`; the schedule is held to it | contract.slaProperties[freshness]
E | promise | the schedule is held to it | contract.slaProperties[frequency]
E | promise | the rule `<column>.retention` | contract.slaProperties[retention]
E | promise | the rule `<column>.available_by` | contract.slaProperties[timeOfAvailability]
E | promise | the rule `end_of_support` | contract.slaProperties[endOfSupport]
E | promise | the rule `end_of_life` | contract.slaProperties[endOfLife]
D | text | the day from which it is offered | contract.slaProperties[generalAvailability]
D | part | of an SLA | contract.slaProperties[].{property,value,valueExt,unit,element,driver,schedule,scheduler}
D | text | prose | contract.slaProperties[].description
D | part | of SLAs without an element | contract.slaDefaultElement
D | promise | nothing grants or denies by it | contract.{,servers[].}roles
D | part | of a role | contract.{,servers[].}roles[].{role,description,access,firstLevelApprovers,secondLevelApprovers}
D | promise | nothing bills by it | contract.price
D | part | of the price | contract.price.{priceAmount,priceCurrency,priceUnit}
D | promise | nobody watches whether it answers | {contract,product}.support
D | part | of a channel | {contract,product}.support[].{channel,url,description,tool,scope,invitationUrl}
D | text | the product's team is what counts | contract.team
D | text | the product's team is what counts | contract.team{,.members}[].{username,name,description,role,dateIn}
D | text | the product's team is what counts | contract.team{,.members}[].{dateOut,replacedByUsername}
D | text | the product's team is what counts | contract.team.{name,description,members}
E | promise | an owner is needed to load, technical owner and steward for active | product.team.members[].username
E | promise | an owner is needed to load, technical owner and steward for active | product.team.members[].role
D | text | words about people | product.team.{name,description}
D | text | words about people | product.team.members[].{name,description,dateIn,dateOut,replacedByUsername}
E | promise | resolved; transforms read nothing else | product.inputPorts[].{name,contractId}
E | promise | held against the version that is offered | product.inputPorts[].version
E | promise | must be a contract of the product; others read only these | product.outputPorts[].name
E | promise | must be a contract of the product; others read only these | product.outputPorts[].contractId
E | promise | must be of the contract's major version | product.outputPorts[].version
E | text | needed for active, placeholders refused | product.outputPorts[].description
D | text | every port is a table | product.outputPorts[].type
D | promise | nothing warns who reads it | product.{,inputPorts[].,outputPorts[].}deprecated
D | promise | nothing compares it with what is used | product.outputPorts[].{sbom,inputContracts}
D | part | of a bill of materials | product.outputPorts[].sbom[].{type,url}
D | part | of an input contract | product.outputPorts[].inputContracts[].version
D | promise | nothing serves it | product.managementPorts
D | part | of a management port | product.managementPorts[].{name,content,type,url,channel,description,deprecated}
E | promise | rules of the layer when files load | product.customProperties[layer]
E | promise | policies set the least of rules and SLAs for it | product.customProperties[tier]
E | text | needed for active | product.customProperties[{audience,consumers,valueMeasure}]
E | part | `port` must be an output port | product.customProperties[consumers][].{persona,team,contact,port,needs,gone}
E | part | placeholders refused | product.customProperties[valueMeasure].{name,description,source}
E | promise | the product refreshes by it | product.customProperties[schedule]
E | part | of the schedule | product.customProperties[schedule].{cron,timezone}
E | promise | no retirement before that day; readers are told of it | product.customProperties[sunsetDate]
M | promise | readers are told of it; where reads end, errors name it | product.customProperties[successor]
M | promise | `lifecycle --due` tells when the next review is due | product.customProperties[reviewedOn]
D | text | shown | product.customProperties[strategicGoal]
E | structure | read by this report | product.customProperties[waivers]
E | part | of a waiver | product.customProperties[waivers][].{clause,reason,expires}
E | promise | the rule `partition_bounds` | contract.schema[].customProperties[partition]
E | part | of the partitioning | contract.schema[].customProperties[partition].{column,unit,start,end,batch}
M | promise | reported with every refresh | contract.schema[].customProperties[validThru]
E | promise | the gate | contract.schema[].properties[].customProperties[{onFailure,keep}]
E | promise | held to what is set aside | contract.schema[].{,properties[].}customProperties[maxQuarantined]
E | promise | held to what is set aside | contract.schema[].{,properties[].}quality[].customProperties[maxQuarantined]
E | promise | acts before the gate, or as a rule | contract.schema[].properties[].customProperties[{missing,outliers}]
E | part | of the policy | contract.schema[].properties[].customProperties[missing].{policy,values,value,by,orderBy}
E | part | of the policy | contract.schema[].properties[].customProperties[outliers].{policy,minimum,maximum,method}
E | part | of the policy | contract.schema[].properties[].customProperties[outliers].{factor,lower,upper}
E | part | shown with the rules | contract.schema[].properties[].customProperties[criticality]
E | part | of a rule | contract.schema[].{,properties[].}quality[].customProperties[{onFailure,keep,blocking}]
E | part | of a rule | contract.schema[].{,properties[].}quality[].customProperties[{criticality,dimension}]
D | text | shown with its objective | contract.schema[].{,properties[].}quality[].customProperties[driver]
E | part | of the SLA's rule | contract.slaProperties[].customProperties[{blocking,severity,criticality}]
E | promise | how the source is read | contract.servers[].customProperties[{package,encoding,delimiter,header}]
E | promise | how the source is read | contract.servers[].customProperties[{dateFormat,timestampFormat,nullValues}]
E | promise | how the source is read | contract.servers[].customProperties[columns]
E | text | needed for active, placeholders refused | design.{need,pain_points}
E | text | needed for active, placeholders refused | design.{decisions,stakeholders,user_stories}
E | part | placeholders refused | design.decisions[].{name,decision,owner}
E | part | placeholders refused | design.stakeholders[].{name,insight}
E | part | placeholders refused | design.user_stories[].{as,want,so_that}
E | part | must be output ports, or metrics of the file | design.user_stories[].{outputs,metrics}
E | structure | its keys are listed one by one | design.metrics
E | text | its columns must exist | design.metrics[].{name,columns}
D | text | prose; the columns are what is checked | design.metrics[].{formula,unit,grain,window,measures,limitations}
D | text | prose; the columns are what is checked | design.metrics[].north_star
D | text | prose | design.notes
D | part | of a note | design.notes[].{title,text}
E | structure | its keys are listed one by one | slo.{objectives,defaults,defaults.drop,incidents,incidents.ignore}
E | structure | its keys are listed one by one | slo.{runbooks,health,health.weights}
M | promise | its indicator is measured over its window | slo.objectives[]
M | part | of an objective | slo.objectives[].{name,indicator,target,window,on_spent,severity,driver}
M | part | of the indicator | slo.objectives[].{table,rules,columns,column,port,at_most,by}
D | text | shown | slo.objectives[].description
D | text | shown with incidents | slo.objectives[].runbook
E | part | the default is not measured; it must exist | slo.defaults.drop[].{name,reason}
E | part | such findings open no incident | slo.incidents.ignore[].{kind,name,table,reason}
D | text | shown with incidents; the rule must exist | slo.runbooks[].{table,rule,url}
M | part | of the data-health score | slo.health.weights.{quality,architecture,governance,incidents,freshness,lifecycle}
E | promise | the unit test of the transform | tests
E | part | of a unit test | tests[].{table,name,given,partition,expect,ordered,columns}
"""
_STATES = {"E": ENFORCED, "M": MONITORED, "D": DECLARED}
_EVERYWHERE = "*."


@cache
def table() -> Mapping[str, Clause]:
    """Return every clause by its path."""
    found: dict[str, Clause] = {}
    for row in _ROWS.strip().splitlines():
        state, kind, by, keys = (cell.strip() for cell in row.split("|"))
        if kind not in _KINDS:
            raise ValueError(row)
        for key in expand(keys):
            if key in found:
                raise ValueError(f"{key} stands twice")
            found[key] = Clause(_STATES[state], kind, by)
    return found


def lookup(clause: str) -> Clause | None:
    """Return what becomes of `clause`, by its own path or by one that holds everywhere; None if nobody says."""
    known = table()
    if clause in known:
        return known[clause]
    steps = [step.removesuffix("[]") for step in clause.split(".")]
    for step in steps[1:]:
        name = re.sub(r"\[.*", "", step)
        if name != "id" and _EVERYWHERE + name in known:
            return known[_EVERYWHERE + name]
    return known[_EVERYWHERE + "id"] if steps[-1] == "id" else None


def expand(pattern: str) -> Iterator[str]:
    """Yield what `a.{b,c}` stands for."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        yield pattern
        return
    for choice in match[1].split(","):
        yield from expand(pattern[: match.start()] + choice + pattern[match.end() :])
